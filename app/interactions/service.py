"""Users' events: what the recommender learns from and what an erasure deletes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.ledger import lock_ledger
from app.db.models import Interaction, Suppression
from app.db.precedence import Precedence
from app.db.session import Database, insert_ignoring_duplicates

_ROWS_PER_STATEMENT = 1000
# The ledger is locked for as long as this takes to store, some twenty milliseconds: a forget waits for no more.
ROWS_PER_SLICE = 500


@dataclass(frozen=True)
class NewInteraction:
    subject_hmac: str
    item_id: str
    timestamp: int


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
    """Store events, except those of suppressed subjects (invariants I2 and I10). Repeating a batch changes nothing.

    Takes the ledger's lock: an event either precedes the acceptance of its subject's request, and is erased with the
    rest, or sees the suppression.
    """
    lock_ledger(session)
    subjects = {event.subject_hmac for event in events}
    suppressed = _suppressed_among(session, subjects)
    admitted = [event for event in events if event.subject_hmac not in suppressed]
    stored = 0
    for start in range(0, len(admitted), _ROWS_PER_STATEMENT):
        rows = [vars(event) for event in admitted[start : start + _ROWS_PER_STATEMENT]]
        statement = insert_ignoring_duplicates(session, Interaction).returning(Interaction.id)
        stored += len(session.execute(statement, rows).all())
    return Ingested(stored, len(admitted) - stored, len(events) - len(admitted))


def _suppressed_among(session: Session, subjects: Iterable[str]) -> set[str]:
    wanted = sorted(subjects)
    found: set[str] = set()
    for start in range(0, len(wanted), _ROWS_PER_STATEMENT):
        chunk = wanted[start : start + _ROWS_PER_STATEMENT]
        found.update(
            session.scalars(select(Suppression.subject_hmac).where(Suppression.subject_hmac.in_(chunk)))
        )
    return found


def newest_items(session: Session, subject_hmac: str, *, limit: int) -> list[str]:
    """The subject's last ``limit`` items, oldest first; the same order as training uses."""
    rows = session.scalars(
        select(Interaction.item_id)
        .where(Interaction.subject_hmac == subject_hmac)
        .order_by(Interaction.timestamp.desc(), Interaction.id.desc())
        .limit(limit)
    ).all()
    return list(reversed(rows))


def subjects(session: Session) -> frozenset[str]:
    """Everybody of whom an event is stored."""
    return frozenset(session.scalars(select(Interaction.subject_hmac).distinct()))


def watermark(session: Session) -> int:
    """The highest id given out so far; 0 before the first event."""
    return session.scalar(select(func.max(Interaction.id))) or 0


def histories(session: Session, *, up_to: int, only: Collection[str] | None = None) -> dict[str, list[str]]:
    """Items by subject, in time order, of the events an adapter with this watermark was trained on.

    Ties in time are broken by order of arrival; `lethe init` stores events in the data loaders' order. ``only``
    limits the subjects.
    """
    result: dict[str, list[str]] = {}
    query = (
        select(Interaction.subject_hmac, Interaction.item_id)
        .where(Interaction.id <= up_to)
        .order_by(Interaction.subject_hmac, Interaction.timestamp, Interaction.id)
    )
    if only is not None:
        query = query.where(Interaction.subject_hmac.in_(only))
    for subject_hmac, item_id in session.execute(query.execution_options(yield_per=10_000)):
        result.setdefault(subject_hmac, []).append(item_id)
    return result


def popularity(session: Session, *, limit: int) -> list[str]:
    """The most popular items over everyone who is not suppressed, ties by item id: what a fallback shows."""
    admitted = ~select(Suppression.epoch).where(Suppression.subject_hmac == Interaction.subject_hmac).exists()
    users = func.count(func.distinct(Interaction.subject_hmac))
    return list(
        session.scalars(
            select(Interaction.item_id)
            .where(admitted)
            .group_by(Interaction.item_id)
            .order_by(users.desc(), Interaction.item_id)
            .limit(limit)
        )
    )


def suppressed_subjects(session: Session) -> set[str]:
    return set(suppression_epochs(session))


def suppression_epochs(session: Session) -> dict[str, int]:
    """Everyone suppressed, with the epoch of it. Whoever is not in it has an epoch above all of these: suppressions
    become visible in the order of their epochs, and this is one statement.
    """
    rows = session.execute(select(Suppression.subject_hmac, Suppression.epoch))
    return {row.subject_hmac: row.epoch for row in rows}
