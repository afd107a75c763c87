"""Which replicas are alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Replica


def live_replicas(session: Session, *, now: datetime, timeout: timedelta) -> Sequence[Replica]:
    """Replicas heard of within ``timeout``. One silent for longer has let its feed lease lapse and falls back."""
    return session.scalars(
        select(Replica).where(Replica.last_seen_at >= now - timeout).order_by(Replica.id)
    ).all()
