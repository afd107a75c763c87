"""The making of levels: a lease on a row admits one maker at a time; readings of finished parts are kept.

No lock is held during the computation. If a maker dies or stops, the readings of its finished parts remain, and the
next maker goes on from there. The part fits themselves are never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.db.clock import database_now
from app.db.errors import MakingLost
from app.db.ledger import lock_ledger
from app.db.models import Interaction, LevelMaking, PartReading
from app.db.session import rows_changed


@dataclass(frozen=True)
class Elsewhere:
    """The progress of another process that makes levels now: `done` of `parts`, both 0 at the beginning."""

    done: int
    parts: int


def take(
    session: Session, maker: str, *, watermark: int, smoothing: float, lease: timedelta
) -> Elsewhere | None:
    """Become the maker of these levels. If another process makes levels now, return its progress instead.

    Readings of the same events with the same smoothing are kept for the new maker; others are deleted.
    """
    lock_ledger(session)
    now = database_now(session)
    row = session.get(LevelMaking, 1, with_for_update=True)
    if row is not None and row.lease_until >= now and row.maker != maker:
        return Elsewhere(row.done, row.parts)
    if row is None or (row.watermark, row.smoothing) != (watermark, smoothing):
        drop(session)
        row = LevelMaking(id=1, watermark=watermark, smoothing=smoothing, scheme="", done=0, parts=0)
        session.add(row)
    row.maker, row.lease_until = maker, now + lease
    return None


def renew(session: Session, maker: str, *, lease: timedelta, done: int, parts: int) -> bool:
    """Extend the lease. Returns False if another process makes the levels now, or if they are no longer needed."""
    renewed = session.execute(
        update(LevelMaking)
        .where(LevelMaking.id == 1, LevelMaking.maker == maker)
        .values(lease_until=database_now(session) + lease, done=done, parts=parts)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(renewed) > 0


def release(session: Session, maker: str) -> None:
    """End the lease, so that a waiting process can take over at once. Readings of finished parts are kept."""
    session.execute(
        update(LevelMaking)
        .where(LevelMaking.id == 1, LevelMaking.maker == maker)
        .values(lease_until=database_now(session) - timedelta(seconds=1))
        .execution_options(synchronize_session=False)
    )


def require_maker(session: Session, maker: str) -> None:
    """Check that this process still makes the levels.

    Raises:
        MakingLost: another process makes them now, or the readings were dropped.
    """
    row = session.get(LevelMaking, 1, with_for_update=True)
    if row is None or row.maker != maker:
        raise MakingLost


def settle_scheme(session: Session, maker: str, scheme: str) -> None:
    """Drop parts of another scheme: a service that has shrunk divides its users into other parts.

    Raises:
        MakingLost: another process makes the levels now.
    """
    lock_ledger(session)
    require_maker(session, maker)
    row = session.get_one(LevelMaking, 1)
    if row.scheme != scheme:
        session.execute(delete(PartReading))
        row.scheme = scheme


def forget_part(session: Session, maker: str, part: int) -> None:
    """Drop the readings of a part that is made again.

    Raises:
        MakingLost: another process makes the levels now.
    """
    lock_ledger(session)
    require_maker(session, maker)
    session.execute(delete(PartReading).where(PartReading.part == part))


def keep_readings(session: Session, maker: str, part: int, rows: Sequence[dict[str, Any]]) -> None:
    """Store a finished part's readings for some of the users. Users who were erased meanwhile get no row.

    Args:
        rows: ``subject_hmac``, ``member``, ``smoothed_nll``, ``validation_nll`` and ``test_nll`` of at most
            `ROWS_PER_SLICE` users, so that the ledger is not locked for long.

    Raises:
        MakingLost: another process makes the levels now.
    """
    lock_ledger(session)
    require_maker(session, maker)
    read = [row["subject_hmac"] for row in rows]
    stored = set(
        session.scalars(select(Interaction.subject_hmac).where(Interaction.subject_hmac.in_(read)).distinct())
    )
    wanted = [row | {"part": part} for row in rows if row["subject_hmac"] in stored]
    if wanted:
        session.execute(insert(PartReading), wanted)


def kept(session: Session) -> Sequence[PartReading]:
    """The readings of finished parts. Only the maker may use them, see `take`."""
    return session.scalars(select(PartReading)).all()


def drop(session: Session) -> None:
    """Delete a making under way. Its maker notices at the next renewal."""
    session.execute(delete(PartReading))
    session.execute(delete(LevelMaking))


def drop_others(session: Session, *, watermark: int) -> None:
    """Delete a making under way if it belongs to another watermark."""
    row = session.get(LevelMaking, 1)
    if row is not None and row.watermark != watermark:
        drop(session)
