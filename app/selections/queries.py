"""Queries of selections, and of the events that they hide."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.models import EventSelection, ForgetRequest, Interaction, TakenItemId
from app.db.models.statuses import SETTLED
from app.selections.criteria import Criteria

IN_FORCE: ColumnElement[bool] = EventSelection.lifted_epoch.is_(None)
# An event is hidden by a selection, or because its item was taken down.
SHOWN: ColumnElement[bool] = and_(
    Interaction.selected_epoch.is_(None), Interaction.item_id.not_in(select(TakenItemId.item_id))
)


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


def shown_again_among(session: Session, subjects: Collection[str], *, left_out_up_to: int) -> frozenset[str]:
    """Those of the subjects who had hidden events when a fit was made, and have them shown again since.

    Args:
        left_out_up_to: the epoch up to which the fit has left out what was asked for.
    """
    return frozenset(
        subject
        for chunk in in_chunks(subjects)
        for subject in session.scalars(
            select(EventSelection.subject_hmac).where(
                EventSelection.subject_hmac.in_(chunk),
                EventSelection.epoch <= left_out_up_to,
                EventSelection.lifted_epoch > left_out_up_to,
            )
        )
    )


def events_of(session: Session, row: EventSelection) -> list[int]:
    """The ids of the stored events that this selection is about, in order, also those that another one hides."""
    criteria = Criteria.from_plain(row.criteria)
    stored = session.execute(
        select(Interaction.id, Interaction.item_id, Interaction.timestamp, Interaction.selected_epoch).where(
            Interaction.subject_hmac == row.subject_hmac
        )
    )
    return sorted(
        event.id
        for event in stored
        if event.selected_epoch == row.epoch
        or criteria.selects(row.subject_hmac, event.item_id, event.timestamp)
    )


def subjects_by_epoch(session: Session) -> dict[int, str]:
    """The epochs of the selections that are in force, those of completed requests too, with their subjects."""
    rows = session.execute(select(EventSelection.epoch, EventSelection.subject_hmac).where(IN_FORCE))
    return {row.epoch: row.subject_hmac for row in rows}


def settled_epochs(session: Session) -> frozenset[int]:
    """The epochs of those selections in force whose events are forgotten by now."""
    rows = session.scalars(
        select(EventSelection.epoch)
        .join(ForgetRequest, ForgetRequest.id == EventSelection.request_id)
        .where(ForgetRequest.outcome.is_not(None), IN_FORCE)
    )
    return frozenset(rows)


def newest_epoch(session: Session) -> int:
    """The epoch of the last selection or lift of one; 0 before the first. It grows with every change."""
    last, lifted = session.execute(
        select(func.max(EventSelection.epoch), func.max(EventSelection.lifted_epoch))
    ).one()
    return max(last or 0, lifted or 0)
