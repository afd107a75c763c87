"""Selecting events: from then on nothing recommends from them or trains on them; a run erases them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.models import EventSelection, ForgetRequest, Interaction
from app.selections.criteria import Criteria
from app.selections.queries import IN_FORCE, selected_by


def begin(session: Session, request: ForgetRequest, criteria: Criteria) -> EventSelection:
    """Store the selection of a new request, and hide the stored events that it selects.

    Call under the ledger's lock, which an import takes too: an event is either stored before and hidden, or dropped
    (`app.interactions.service.ingest`).
    """
    row = EventSelection(
        epoch=request.epoch,
        request_id=request.id,
        subject_hmac=request.subject_hmac,
        criteria=criteria.to_plain(),
    )
    request.selected_events = _hide(session, request.epoch, request.subject_hmac, criteria)
    session.add(row)
    session.flush()
    return row


def show_again(session: Session, row: EventSelection) -> None:
    """Show the events of a lifted selection again, except those that another selection of the person hides too."""
    hidden = Interaction.selected_epoch == row.epoch
    session.execute(update(Interaction).where(hidden).values(selected_epoch=None))
    others = session.scalars(
        select(EventSelection).where(
            EventSelection.subject_hmac == row.subject_hmac, EventSelection.epoch != row.epoch, IN_FORCE
        )
    )
    for other in others:
        _hide(session, other.epoch, row.subject_hmac, Criteria.from_plain(other.criteria))


def erase(session: Session, epochs: Collection[int]) -> int:
    """Delete the events of these selections. Returns how many.

    An event that several selections are about is hidden by the first of them only. It is deleted with any of them.
    """
    rows = session.scalars(select(EventSelection).where(EventSelection.epoch.in_(epochs)))
    ids = {
        event.id
        for row in rows
        for event in selected_by(session, row.subject_hmac, Criteria.from_plain(row.criteria))
    }
    for chunk in in_chunks(ids):
        session.execute(delete(Interaction).where(Interaction.id.in_(chunk)))
    return len(ids)


def _hide(session: Session, epoch: int, subject_hmac: str, criteria: Criteria) -> int:
    """Hide the person's events that are selected and not hidden yet. Returns how many the criteria select."""
    selected = selected_by(session, subject_hmac, criteria)
    shown = [event.id for event in selected if event.selected_epoch is None]
    if shown:
        session.execute(update(Interaction).where(Interaction.id.in_(shown)).values(selected_epoch=epoch))
    return len(selected)
