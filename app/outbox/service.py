"""What somebody outside is to be told: put with the change it is about, taken after the commit, gone once it is told.

Whoever has put something tells it at once, if they can; a sweeper tells what is left. So nothing is told that did not
happen, and nothing is lost with a broker or a process. It may be told twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app.db.models import OutboxEntry
from app.db.session import insert_ignoring_duplicates


class Topic(StrEnum):
    """What there is to tell."""

    RUN_WAITING = "run_waiting"  # to the workers; the reference is the run's id


def put(session: Session, topic: Topic, reference: str, *, now: datetime) -> None:
    """Have it told once this transaction is committed. What waits already is told once."""
    statement = insert_ignoring_duplicates(session, OutboxEntry)
    session.execute(statement.values(topic=topic, reference=reference, due_at=now))


def take(session: Session, topic: Topic, *, now: datetime, again_after: timedelta) -> list[str]:
    """What is to be told now, the oldest first. It is due again after a while, unless it is `told` by then.

    So that several sweepers do not all tell it.
    """
    taken = session.execute(
        update(OutboxEntry)
        .where(OutboxEntry.topic == topic, OutboxEntry.due_at <= now)
        .values(due_at=now + again_after)
        .returning(OutboxEntry.id, OutboxEntry.reference)
        .execution_options(synchronize_session=False)
    ).all()
    return [row.reference for row in sorted(taken, key=lambda row: row.id)]


def told(session: Session, topic: Topic, reference: str) -> None:
    """It was told, or nobody needs to be told any more."""
    session.execute(
        delete(OutboxEntry)
        .where(OutboxEntry.topic == topic, OutboxEntry.reference == reference)
        .execution_options(synchronize_session=False)
    )
