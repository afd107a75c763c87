"""Levels of users under models that never saw them, as the worker's cross-fitting finds them (`app.levels.makings`).

A level belongs to its user's training sequence, and so to a watermark: it outlives edits and re-fits of the adapter
until a fit on newer events. All rows are of one making.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from app.audit.events import LevelsMade
from app.audit.transaction import Transaction
from app.db.models import Interaction, NeverSeenLevel, PartReading
from app.levels import makings

_ROWS_PER_STATEMENT = 1000


def replace_all(
    transaction: Transaction,
    rows: Sequence[dict[str, Any]],
    *,
    watermark: int,
    smoothing: float,
    actor: str,
    now: datetime,
) -> None:
    """Store one making, and drop every older one.

    Whoever was erased while it was made gets no row: no row may be there without the events that it tells about.

    Args:
        rows: ``subject_hmac``, ``smoothed_nll``, ``deviation`` and ``seen_smoothed_nll`` of each user.
    """
    session = transaction.session
    drop_all(session)
    common = {"watermark": watermark, "smoothing": smoothing, "created_at": now}
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        session.execute(
            insert(NeverSeenLevel), [row | common for row in rows[start : start + _ROWS_PER_STATEMENT]]
        )
    remembered = (
        select(Interaction.id).where(Interaction.subject_hmac == NeverSeenLevel.subject_hmac).exists()
    )
    erased = session.execute(delete(NeverSeenLevel).where(~remembered))
    users = len(rows) - int(erased.rowcount)  # type: ignore[attr-defined]
    transaction.record(LevelsMade(watermark=watermark, smoothing=smoothing, users=users), actor=actor)


def drop_all(session: Session) -> None:
    """Delete every level, also half made: they belong to a fit that is live no more."""
    session.execute(delete(NeverSeenLevel))
    makings.drop(session)


def drop_others(session: Session, *, watermark: int) -> None:
    """Delete every level of another watermark, also half made: no run can read it any more."""
    session.execute(delete(NeverSeenLevel).where(NeverSeenLevel.watermark != watermark))
    makings.drop_others(session, watermark=watermark)


def drop_of_subjects(session: Session, subjects: Collection[str]) -> None:
    """Delete what is kept of these subjects, also half made."""
    for table in (NeverSeenLevel, PartReading):
        session.execute(delete(table).where(table.subject_hmac.in_(subjects)))
