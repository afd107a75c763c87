"""Beginning, using and ending sessions.

A session is a row and not a signed cookie, because log-out, the idle time-out and the revocation of a key must end it
on every gateway, and a cookie that carries its own proof cannot be taken back. The row survives a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, update
from sqlalchemy.orm import Session

from app.api_keys.queries import find_active
from app.db.models import ApiKey, DashboardSession

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
# Uses within this time of the last one are not written. So the idle time-out is exact to a minute.
USED_EVERY = timedelta(minutes=1)


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def form_token(token: str) -> str:
    """What a form of this session must carry: derived from the token, which no script and no other site can read."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()


def begin(
    session: Session, key: str, *, now: datetime, replaces: str | None, looks_only: bool = False
) -> tuple[str, ApiKey] | None:
    """Begin a session with an API key. Returns its new token and the key's row; None if the key is not valid.

    Args:
        replaces: the token that the browser had before, if any. Its session ends, whoever began it.
        looks_only: whether the session may change nothing, whatever the key may do.
    """
    row = find_active(session, key, now)
    if row is None:
        return None
    if replaces is not None:
        end(session, replaces)
    _forget_ended(session, now)
    token = secrets.token_urlsafe(32)
    session.add(
        DashboardSession(
            token_digest=digest_of(token),
            key_digest=row.key_digest,
            created_at=now,
            last_used_at=now,
            ends_at=now + LONGEST,
            looks_only=looks_only,
        )
    )
    return token, row


def use(session: Session, token_digest: str, now: datetime) -> None:
    """Record that a person has used the session, unless that was recorded a moment ago."""
    session.execute(
        update(DashboardSession)
        .where(
            DashboardSession.token_digest == token_digest, DashboardSession.last_used_at < now - USED_EVERY
        )
        .values(last_used_at=now)
    )


def end(session: Session, token: str) -> None:
    session.execute(delete(DashboardSession).where(DashboardSession.token_digest == digest_of(token)))


def _forget_ended(session: Session, now: datetime) -> None:
    ended = or_(DashboardSession.ends_at <= now, DashboardSession.last_used_at <= now - IDLE)
    session.execute(delete(DashboardSession).where(ended))
