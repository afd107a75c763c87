"""Queries of replicas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session, aliased

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


def silent_engines(session: Session, *, now: datetime, timeout: timedelta) -> Sequence[Replica]:
    """Silent replicas whose engine lies outside the process, and which no later replica has taken over.

    The process is gone or cut off; the engine's memory and folder may hold every version that it ever had.
    """
    silent = Replica.last_seen_at < now - timeout
    return session.scalars(
        select(Replica).where(silent, Replica.outside_engine.is_not(None), ~taken_over()).order_by(Replica.id)
    ).all()


def taken_over() -> ColumnElement[bool]:
    """Whether a later report is about the same engine: it names what the earlier replica left there."""
    later = aliased(Replica)
    return exists().where(
        later.outside_engine == Replica.outside_engine, later.last_seen_at > Replica.last_seen_at
    )
