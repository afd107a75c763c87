"""Storing users' events, from which the recommender learns and which an erasure deletes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy.orm import Session

from app.db.copying import copy_ignoring_duplicates
from app.db.ledger import lock_ledger
from app.db.models import Interaction
from app.db.precedence import Precedence
from app.db.session import Database, insert_ignoring_duplicates
from app.interactions.admission import Admission
from app.takedowns.queries import taken_among
from app.takedowns.spelling import spelled

_ROWS_PER_STATEMENT = 1000
# For fewer rows, a plain INSERT is as fast as COPY into a temporary table.
_LEAST_TO_COPY = 100
_COLUMNS = ("subject_hmac", "item_id", "timestamp", "rating")
_values = attrgetter(*_COLUMNS)
# Storing a slice locks the ledger for about twenty milliseconds. A forget request waits no longer than that.
ROWS_PER_SLICE = 500


@dataclass(frozen=True)
class NewInteraction:
    """``rating`` is finite, or None where there is none."""

    subject_hmac: str
    item_id: str
    timestamp: int
    rating: float | None = None


@dataclass(frozen=True)
class Ingested:
    """Counts of events. ``duplicates`` were stored before. ``suppressed`` were dropped, because their subject is
    suppressed or has asked that these events be forgotten; ``selected`` are the subjects of the latter. ``taken_down``
    were dropped because their item was taken down. ``taken_items`` are all such items that the events name, and
    ``of_taken_items`` the subjects of the events that do.
    """

    stored: int = 0
    duplicates: int = 0
    suppressed: int = 0
    taken_down: int = 0
    selected: frozenset[str] = frozenset()
    taken_items: frozenset[str] = frozenset()
    of_taken_items: frozenset[str] = frozenset()

    def __add__(self, other: Ingested) -> Ingested:
        return Ingested(
            self.stored + other.stored,
            self.duplicates + other.duplicates,
            self.suppressed + other.suppressed,
            self.taken_down + other.taken_down,
            self.selected | other.selected,
            self.taken_items | other.taken_items,
            self.of_taken_items | other.of_taken_items,
        )


def ingest_in_slices(
    database: Database, events: Sequence[NewInteraction], precedence: Precedence | None = None
) -> Ingested:
    """Store any number of events in slices, one transaction each, so that nobody else waits for all of them.

    Each slice leaves out everybody who is suppressed at that time. If somebody asks to be forgotten in between, the run
    erases the events of earlier slices with the rest.

    Args:
        events: the events, in the order in which they count as having arrived.
        precedence: orders the threads of this process; None if no other thread writes.

    Returns:
        The counts of this call.

    Raises:
        DatabaseUnavailable: the first slices may be stored, the others are not. The same events can be stored again:
            those that are stored already then count as duplicates.
    """
    precedence = precedence or Precedence()
    pause = database.engine.dialect.name == "sqlite"
    total = Ingested()
    for start in range(0, len(events), ROWS_PER_SLICE):
        part = events[start : start + ROWS_PER_SLICE]
        with precedence.import_turn(pause=pause), database.unit_of_work() as session:
            result = ingest(session, part)
        total += result
    return total


def ingest(session: Session, events: Sequence[NewInteraction]) -> Ingested:
    """Store events, except those of suppressed subjects (invariants I2 and I10) and of items that were taken down.
    Repeating a batch changes nothing: an event that is stored keeps the rating that it was stored with.

    This locks the ledger. So an event is either stored before its subject's request is accepted, and erased with the
    rest, or it is dropped because of the suppression. Of somebody who came back after having been forgotten, only
    events after that moment are stored, and none that one of their requests has selected: they would bring back what
    was erased.
    """
    lock_ledger(session)
    admission = Admission.of(session, {event.subject_hmac for event in events})
    known = [event for event in events if admission.knows(event.subject_hmac, event.timestamp)]
    kept = [
        event
        for event in known
        if not admission.has_selected(event.subject_hmac, event.item_id, event.timestamp)
    ]
    spellings = {item_id: spelled(item_id) for item_id in {event.item_id for event in events}}
    taken = taken_among(session, set(spellings.values()))
    admitted = [event for event in kept if spellings[event.item_id] not in taken]
    stored = _store(session, admitted)
    return Ingested(
        stored,
        len(admitted) - stored,
        suppressed=len(events) - len(kept),
        taken_down=len(kept) - len(admitted),
        selected=frozenset(event.subject_hmac for event in set(known).difference(kept)),
        taken_items=frozenset(taken),
        of_taken_items=frozenset(
            event.subject_hmac for event in events if taken and spellings[event.item_id] in taken
        ),
    )


def _store(session: Session, events: Sequence[NewInteraction]) -> int:
    """Store the events. Returns how many of them were not stored before."""
    if session.get_bind().dialect.name == "postgresql" and len(events) >= _LEAST_TO_COPY:
        return copy_ignoring_duplicates(session, Interaction, _COLUMNS, map(_values, events))
    stored = 0
    for start in range(0, len(events), _ROWS_PER_STATEMENT):
        rows = [vars(event) for event in events[start : start + _ROWS_PER_STATEMENT]]
        statement = insert_ignoring_duplicates(session, Interaction).returning(Interaction.id)
        stored += len(session.execute(statement, rows).all())
    return stored
