"""Queries of sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api_keys.roles import LOOKING
from app.db.models import ApiKey, DashboardSession
from app.sessions.service import IDLE, digest_of


@dataclass(frozen=True)
class Open:
    """A session that has not ended: whose it is, what it may do, and when it ends unless it is used."""

    name: str
    scopes: frozenset[str]
    left: timedelta
    used: timedelta
    looks_only: bool


def find_open(session: Session, token: str, now: datetime) -> Open | None:
    """The session of this token; None if there is none, if it has ended, or if its key has."""
    found = session.execute(
        select(DashboardSession, ApiKey)
        .join(ApiKey, ApiKey.key_digest == DashboardSession.key_digest)
        .where(DashboardSession.token_digest == digest_of(token))
    ).one_or_none()
    if found is None:
        return None
    row, key = found
    ends = [row.ends_at, row.last_used_at + IDLE, *([key.expires_at] if key.expires_at else [])]
    if key.revoked_at is not None or min(ends) <= now:
        return None
    scopes = frozenset(key.scopes)
    return Open(
        key.name,
        scopes & LOOKING if row.looks_only else scopes,
        left=min(ends) - now,
        used=now - row.last_used_at,
        looks_only=row.looks_only,
    )
