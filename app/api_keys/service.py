"""Issuing and revoking API keys. The key itself is shown once and never stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.db.models import ApiKey

PREFIX = "lethe_"


class Scope(StrEnum):
    """What a key may do."""

    FORGET_CREATE = "forget:create"
    FORGET_READ = "forget:read"
    FORGET_RETRY = "forget:retry"
    FORGET_APPROVE = "forget:approve"
    FORGET_DENY = "forget:deny"
    FORGET_HOLD = "forget:hold"
    FORGET_CANCEL = "forget:cancel"
    FORGET_EXTEND = "forget:extend"
    FORGET_EXPEDITE = "forget:expedite"
    READMIT = "suppression:lift"
    CONSOLIDATE = "consolidation:create"
    RECOMMEND = "recommend:read"
    INTERACTIONS_WRITE = "interactions:write"
    RUNS_READ = "runs:read"
    ADAPTERS_READ = "adapters:read"
    METRICS_READ = "metrics:read"
    DOCS_READ = "docs:read"
    RECEIPTS_READ = "receipts:read"
    AUDIT_READ = "audit:read"


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def issue(
    session: Session, *, name: str, scopes: Sequence[Scope], now: datetime, expires_at: datetime | None = None
) -> str:
    """Create a key and return it. The key cannot be read again later."""
    key = PREFIX + secrets.token_hex(32)
    session.add(
        ApiKey(
            key_digest=digest_of(key),
            name=name,
            scopes=[str(scope) for scope in scopes],
            created_at=now,
            expires_at=expires_at,
        )
    )
    return key


def revoke(session: Session, *, name: str, now: datetime) -> bool:
    """Revoke the key of this name. Returns False if there is no active one."""
    result = session.execute(
        update(ApiKey).where(ApiKey.name == name, ApiKey.revoked_at.is_(None)).values(revoked_at=now)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]
