"""Queries of levels."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from app.db.models import NeverSeenLevel


def are_made(session: Session, *, watermark: int, smoothing: float) -> bool:
    """Whether the levels of this watermark and this smoothing are made."""
    found = select(NeverSeenLevel.subject_hmac).where(_of(watermark, smoothing)).limit(1)
    return session.scalar(found) is not None


def of_subjects(
    session: Session, subjects: Collection[str], *, watermark: int, smoothing: float
) -> dict[str, NeverSeenLevel]:
    """The levels of these subjects; subjects without one are left out."""
    rows = session.scalars(
        select(NeverSeenLevel).where(NeverSeenLevel.subject_hmac.in_(subjects), _of(watermark, smoothing))
    )
    return {row.subject_hmac: row for row in rows}


def _of(watermark: int, smoothing: float) -> ColumnElement[bool]:
    return and_(
        NeverSeenLevel.watermark == watermark,
        NeverSeenLevel.smoothing == smoothing,
        NeverSeenLevel.seen_smoothed_nll.is_not(None),
    )
