"""Queries of selections, and of the events that they hide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.models import EventSelection, ForgetRequest, Interaction
from app.db.models.statuses import SETTLED
from app.selections.criteria import Criteria

IN_FORCE: ColumnElement[bool] = EventSelection.lifted_epoch.is_(None)
SHOWN: ColumnElement[bool] = Interaction.selected_epoch.is_(None)


def criteria_of(session: Session, subjects: Iterable[str]) -> dict[str, list[Criteria]]:
    """The selections of these subjects that are in force, those of completed requests too."""
    found: dict[str, list[Criteria]] = {}
    for chunk in in_chunks(subjects):
        for row in session.scalars(
            select(EventSelection).where(EventSelection.subject_hmac.in_(chunk), IN_FORCE)
        ):
            found.setdefault(row.subject_hmac, []).append(Criteria.from_plain(row.criteria))
    return found


def of_request(session: Session, request_id: str) -> EventSelection | None:
    return session.scalars(
        select(EventSelection).where(EventSelection.request_id == request_id)
    ).one_or_none()


def open_request_for(session: Session, subject_hmac: str, criteria: Criteria) -> ForgetRequest | None:
    """The subject's unfinished request that selects the same events."""
    rows = session.execute(
        select(ForgetRequest, EventSelection)
        .join(EventSelection, EventSelection.request_id == ForgetRequest.id)
        .where(ForgetRequest.subject_hmac == subject_hmac, ForgetRequest.status.not_in(SETTLED), IN_FORCE)
        .order_by(ForgetRequest.epoch)
    )
    same = (request for request, row in rows if Criteria.from_plain(row.criteria).asks_the_same(criteria))
    return next(same, None)


def hidden_among(session: Session, subjects: Collection[str], *, up_to: int) -> frozenset[str]:
    """Those of the subjects with hidden events that an adapter with this watermark was trained on."""
    return frozenset(
        subject
        for chunk in in_chunks(subjects)
        for subject in session.scalars(
            select(Interaction.subject_hmac).where(
                Interaction.subject_hmac.in_(chunk), ~SHOWN, Interaction.id <= up_to
            )
        )
    )


def selected_by(
    session: Session, subject_hmac: str, criteria: Criteria
) -> Sequence[Row[int, str, int, int | None]]:
    """The person's stored events that the criteria select, also those that another selection has hidden before."""
    stored = session.execute(
        select(Interaction.id, Interaction.item_id, Interaction.timestamp, Interaction.selected_epoch).where(
            Interaction.subject_hmac == subject_hmac
        )
    )
    return [event for event in stored if criteria.selects(subject_hmac, event.item_id, event.timestamp)]


def first_event(session: Session, selection: EventSelection) -> int | None:
    """The lowest id of the events that this selection is about; None if no such event is stored."""
    criteria = Criteria.from_plain(selection.criteria)
    return min((event.id for event in selected_by(session, selection.subject_hmac, criteria)), default=None)


def newest_epoch(session: Session) -> int:
    """The epoch of the last selection or lift of one; 0 before the first. It grows with every change."""
    last, lifted = session.execute(
        select(func.max(EventSelection.epoch), func.max(EventSelection.lifted_epoch))
    ).one()
    return max(last or 0, lifted or 0)
