"""Queries of replicas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Replica


def live_replicas(session: Session, *, now: datetime, timeout: timedelta) -> Sequence[Replica]:
    """Replicas that reported within ``timeout``. The feed lease of any other has lapsed, so it serves the fallback."""
    return session.scalars(
        select(Replica).where(Replica.last_seen_at >= now - timeout).order_by(Replica.id)
    ).all()


def silent_replicas(session: Session, *, now: datetime, timeout: timedelta) -> Sequence[Replica]:
    """Replicas that have not reported within ``timeout`` and have not been forgotten yet."""
    return session.scalars(
        select(Replica).where(Replica.last_seen_at < now - timeout).order_by(Replica.last_seen_at.desc())
    ).all()
