"""Queries of public events."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import Ledger, PublicEvent


def newest(session: Session) -> int:
    """The number of the last event; 0 if there was none yet."""
    return session.scalars(select(Ledger.event_sequence).where(Ledger.id == 1)).one()


def oldest_kept(session: Session) -> int | None:
    """The number of the oldest event that is still kept; None if none is."""
    return session.scalar(select(func.min(PublicEvent.sequence)))


def following(session: Session, after: int, *, limit: int, up_to: int | None = None) -> Sequence[PublicEvent]:
    """The events above ``after``, in order, and none above ``up_to``."""
    query = select(PublicEvent).where(PublicEvent.sequence > after)
    if up_to is not None:
        query = query.where(PublicEvent.sequence <= up_to)
    return session.scalars(query.order_by(PublicEvent.sequence).limit(limit)).all()
