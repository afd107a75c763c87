"""The making of levels: one maker at a time, by a lease on a row, and what the parts that are done have read.

No lock is held while anybody computes. A maker that dies, or stops, leaves the readings of its finished parts behind;
whoever takes over goes on from there. The part fits themselves are never kept.
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


@dataclass(frozen=True)
class Elsewhere:
    """How far somebody else is who makes levels now: `done` of `parts`, both 0 at the beginning."""

    done: int
    parts: int


def take(
    session: Session, maker: str, *, watermark: int, smoothing: float, lease: timedelta
) -> Elsewhere | None:
    """Become the maker of these levels, or hear how far the one is who makes levels now.

    Parts that were read of the same events, with the same smoothing, stay for the new maker; others go.
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
    """Extend the lease; False means that somebody else makes them, or that nobody needs them any more."""
    renewed = session.execute(
        update(LevelMaking)
        .where(LevelMaking.id == 1, LevelMaking.maker == maker)
        .values(lease_until=database_now(session) + lease, done=done, parts=parts)
        .execution_options(synchronize_session=False)
    )
    return bool(renewed.rowcount)  # type: ignore[attr-defined]


def release(session: Session, maker: str) -> None:
    """Let whoever waits take over at once. What is done so far stays."""
    session.execute(
        update(LevelMaking)
        .where(LevelMaking.id == 1, LevelMaking.maker == maker)
        .values(lease_until=database_now(session) - timedelta(seconds=1))
        .execution_options(synchronize_session=False)
    )


def require_maker(session: Session, maker: str) -> None:
    """
    Raises:
        MakingLost: somebody else makes them now, or what was made of them was dropped.
    """
    row = session.get(LevelMaking, 1, with_for_update=True)
    if row is None or row.maker != maker:
        raise MakingLost


def settle_scheme(session: Session, maker: str, scheme: str) -> None:
    """Drop parts that another scheme cut: a service that has shrunk since is cut otherwise.

    Raises:
        MakingLost: somebody else makes them now.
    """
    lock_ledger(session)
    require_maker(session, maker)
    row = session.get_one(LevelMaking, 1)
    if row.scheme != scheme:
        session.execute(delete(PartReading))
        row.scheme = scheme


def forget_part(session: Session, maker: str, part: int) -> None:
    """Drop what was kept of a part that is read anew.

    Raises:
        MakingLost: somebody else makes them now.
    """
    lock_ledger(session)
    require_maker(session, maker)
    session.execute(delete(PartReading).where(PartReading.part == part))


def keep_readings(session: Session, maker: str, part: int, rows: Sequence[dict[str, Any]]) -> None:
    """Keep what a finished part has read of some of the users. Whoever was erased meanwhile gets no row.

    Args:
        rows: ``subject_hmac``, ``member``, ``smoothed_nll``, ``validation_nll`` and ``test_nll`` of at most
            `ROWS_PER_SLICE` users: nobody waits for the ledger any longer than that takes.

    Raises:
        MakingLost: somebody else makes them now.
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
    """What finished parts have read, for the maker alone: see `take`."""
    return session.scalars(select(PartReading)).all()


def drop(session: Session) -> None:
    """Delete what is half made, and let its maker notice."""
    session.execute(delete(PartReading))
    session.execute(delete(LevelMaking))


def drop_others(session: Session, *, watermark: int) -> None:
    """The same where it is of another watermark."""
    row = session.get(LevelMaking, 1)
    if row is not None and row.watermark != watermark:
        drop(session)
