"""Selecting events: from then on nothing recommends from them or trains on them; a run erases them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.models import EventSelection, ForgetRequest, Interaction
from app.db.session import rows_changed
from app.selections.criteria import Criteria
from app.selections.queries import IN_FORCE, events_of


def begin(session: Session, request: ForgetRequest, criteria: Criteria) -> EventSelection:
    """Store the selection of a new request, and hide the stored events that it selects.

    What is stored now is no later than the request, also where the clock of whoever sent it goes ahead. So the
    selection reaches as far as these events do.

    Call under the ledger's lock, which an import takes too: an event is either stored before and hidden, or dropped
    (`app.interactions.service.ingest`).
    """
    selected = _stored(session, request.subject_hmac, criteria)
    criteria = replace(criteria, until=max([criteria.until, *(event.timestamp for event in selected)]))
    row = EventSelection(
        epoch=request.epoch,
        request_id=request.id,
        subject_hmac=request.subject_hmac,
        criteria=criteria.to_plain(),
    )
    request.selected_events = len(selected)
    for chunk in in_chunks([event.id for event in selected if event.selected_epoch is None]):
        session.execute(
            update(Interaction).where(Interaction.id.in_(chunk)).values(selected_epoch=request.epoch)
        )
    session.add(row)
    session.flush()
    return row


def selects_shown(session: Session, subject_hmac: str, criteria: Criteria) -> bool:
    """Whether a stored event that is not hidden meets the criteria."""
    return any(row.selected_epoch is None for row in _stored(session, subject_hmac, criteria))


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
        for chunk in in_chunks(events_of(session, other)):
            shown = update(Interaction).where(Interaction.id.in_(chunk), Interaction.selected_epoch.is_(None))
            session.execute(shown.values(selected_epoch=other.epoch))


def erase(session: Session, requests: Iterable[str]) -> int:
    """Delete the events that these requests have selected, also those that others hide. Returns how many."""
    erased = 0
    for row in session.scalars(select(EventSelection).where(EventSelection.request_id.in_(requests))):
        for chunk in in_chunks(events_of(session, row)):
            result = session.execute(delete(Interaction).where(Interaction.id.in_(chunk)))
            erased += rows_changed(result)
    return erased


def _stored(session: Session, subject_hmac: str, criteria: Criteria) -> list[Any]:
    """The person's stored events that the criteria select, whatever their time is to the request's."""
    rows = session.execute(
        select(Interaction.id, Interaction.item_id, Interaction.timestamp, Interaction.selected_epoch).where(
            Interaction.subject_hmac == subject_hmac
        )
    )
    anytime = replace(criteria, until=2**62)
    return [row for row in rows if anytime.selects(subject_hmac, row.item_id, row.timestamp)]
