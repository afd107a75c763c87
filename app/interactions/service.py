"""Users' events: what the recommender learns from and what an erasure deletes."""

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
from app.suppressions.queries import suppressed_among

_ROWS_PER_STATEMENT = 1000
# Below, a statement is as fast as a temporary table with what it takes to fill and empty it.
_LEAST_TO_COPY = 100
_COLUMNS = ("subject_hmac", "item_id", "timestamp", "rating")
_values = attrgetter(*_COLUMNS)
# The ledger is locked for as long as this takes to store, some twenty milliseconds: a forget waits for no more.
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
    """``duplicates`` were stored before; ``suppressed`` belong to forgotten subjects and were dropped."""

    stored: int
    duplicates: int
    suppressed: int


def ingest_in_slices(
    database: Database, events: Sequence[NewInteraction], precedence: Precedence | None = None
) -> Ingested:
    """Store any number of events, a slice a transaction, so that nobody else waits for all of them.

    Each slice leaves out whoever is suppressed when it is stored. What an earlier slice stored of somebody who asks
    meanwhile is erased with the rest.

    Args:
        events: in the order in which they are to arrive.
        precedence: of the threads of this process; without it, nobody else here writes.

    Returns:
        What became of these events in this call.

    Raises:
        DatabaseUnavailable: the first slices may be stored, the others are not. The same events are safe to give
            again: those that are stored then count as duplicates.
    """
    precedence = precedence or Precedence()
    pause = database.engine.dialect.name == "sqlite"
    stored = duplicates = suppressed = 0
    for start in range(0, len(events), ROWS_PER_SLICE):
        part = events[start : start + ROWS_PER_SLICE]
        with precedence.import_turn(pause=pause), database.unit_of_work() as session:
            result = ingest(session, part)
        stored += result.stored
        duplicates += result.duplicates
        suppressed += result.suppressed
    return Ingested(stored, duplicates, suppressed)


def ingest(session: Session, events: Sequence[NewInteraction]) -> Ingested:
    """Store events, except those of suppressed subjects (invariants I2 and I10). Repeating a batch changes nothing: an
    event that is stored keeps the rating that it was stored with.

    Takes the ledger's lock: an event either precedes the acceptance of its subject's request, and is erased with the
    rest, or sees the suppression.
    """
    lock_ledger(session)
    subjects = {event.subject_hmac for event in events}
    suppressed = suppressed_among(session, subjects)
    admitted = [event for event in events if event.subject_hmac not in suppressed]
    stored = _store(session, admitted)
    return Ingested(stored, len(admitted) - stored, len(events) - len(admitted))


def _store(session: Session, events: Sequence[NewInteraction]) -> int:
    """How many of these events were not there already; now they all are."""
    if session.get_bind().dialect.name == "postgresql" and len(events) >= _LEAST_TO_COPY:
        return copy_ignoring_duplicates(session, Interaction, _COLUMNS, map(_values, events))
    stored = 0
    for start in range(0, len(events), _ROWS_PER_STATEMENT):
        rows = [vars(event) for event in events[start : start + _ROWS_PER_STATEMENT]]
        statement = insert_ignoring_duplicates(session, Interaction).returning(Interaction.id)
        stored += len(session.execute(statement, rows).all())
    return stored
