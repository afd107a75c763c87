"""Messages to other processes: stored with their change, sent after the commit, deleted once they are sent.

The process that stored a message sends it at once, if it can; a sweeper sends what is left. So no message is sent for a
change that did not happen, and none is lost with a broker or a process. A message may be sent twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.db.models import OutboxEntry
from app.db.session import insert_ignoring_duplicates


class Topic(StrEnum):
    """The kinds of messages."""

    RUN_WAITING = "run_waiting"  # to the workers; the reference is the run's id
    LIFTED = "lifted"  # to the erasure journal; the reference is the epoch of the lift
    TAKEN_DOWN = "taken_down"  # to the erasure journal; the reference is the id of the takedown


def put(session: Session, topic: Topic, reference: str, *, now: datetime) -> None:
    """Store a message, to be sent after this transaction is committed. A duplicate of a waiting message is dropped."""
    statement = insert_ignoring_duplicates(session, OutboxEntry)
    session.execute(statement.values(topic=topic, reference=reference, due_at=now))


def take(session: Session, topic: Topic, *, now: datetime, again_after: timedelta) -> list[str]:
    """The references of messages to send now, the oldest first.

    A message is due again after ``again_after``, unless `told` is called before. So only one of several sweepers sends
    it.
    """
    taken = session.execute(
        update(OutboxEntry)
        .where(OutboxEntry.topic == topic, OutboxEntry.due_at <= now)
        .values(due_at=now + again_after)
        .returning(OutboxEntry.id, OutboxEntry.reference)
        .execution_options(synchronize_session=False)
    ).all()
    return [row.reference for row in sorted(taken, key=lambda row: row.id)]


def is_due(session: Session, topic: Topic, *, now: datetime) -> bool:
    """Whether a message waits to be sent now."""
    waiting = select(OutboxEntry.id).where(OutboxEntry.topic == topic, OutboxEntry.due_at <= now).limit(1)
    return session.scalar(waiting) is not None


def told(session: Session, topic: Topic, reference: str) -> None:
    """Delete a message that was sent, or that nobody needs any more."""
    session.execute(
        delete(OutboxEntry)
        .where(OutboxEntry.topic == topic, OutboxEntry.reference == reference)
        .execution_options(synchronize_session=False)
    )
