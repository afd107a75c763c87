"""Stores the users' levels, which the worker measures by cross-fitting (`app.levels.makings`).

A level belongs to its user's training sequence, and so to a watermark. It stays valid through edits and re-fits of the
adapter, until a fit reads newer events. All rows come from one making.
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
from app.db.session import rows_changed
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
    """Store the levels of one making, and delete all older ones.

    A user who was erased meanwhile gets no row: no level may exist without the events that it describes.

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
    users = len(rows) - rows_changed(erased)
    transaction.record(LevelsMade(watermark=watermark, smoothing=smoothing, users=users), actor=actor)


def drop_all(session: Session) -> None:
    """Delete all levels and a making under way: they belong to a fit that is no longer live."""
    session.execute(delete(NeverSeenLevel))
    makings.drop(session)


def drop_others(session: Session, *, watermark: int) -> None:
    """Delete the levels of other watermarks, and a making under way for one: no run can use them any more."""
    session.execute(delete(NeverSeenLevel).where(NeverSeenLevel.watermark != watermark))
    makings.drop_others(session, watermark=watermark)


def drop_of_subjects(session: Session, subjects: Collection[str]) -> None:
    """Delete the levels of these subjects, and their readings in a making under way."""
    for table in (NeverSeenLevel, PartReading):
        session.execute(delete(table).where(table.subject_hmac.in_(subjects)))
