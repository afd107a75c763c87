"""Queries of API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api_keys.service import digest_of
from app.db.models import ApiKey


def find_active(session: Session, key: str, now: datetime) -> ApiKey | None:
    """The key's row if the key exists, has not expired and was not revoked.

    The lookup is by digest. The database compares digests, so the timing reveals nothing about a key.
    """
    row = session.get(ApiKey, digest_of(key))
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return row


def all_keys(session: Session) -> Sequence[ApiKey]:
    return session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.name, ApiKey.rotation)).all()
