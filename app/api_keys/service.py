"""Issuing, rotating and revoking API keys. The key itself is shown once and never stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.models import ApiKey
from app.db.session import rows_changed

PREFIX = "lethe_"


class Scope(StrEnum):
    """What a key may do."""

    FORGET_CREATE = "forget:create"
    FORGET_READ = "forget:read"
    FORGET_RETRY = "forget:retry"
    FORGET_VERIFY = "forget:verify"
    FORGET_APPROVE = "forget:approve"
    FORGET_DENY = "forget:deny"
    FORGET_HOLD = "forget:hold"
    FORGET_CANCEL = "forget:cancel"
    FORGET_EXTEND = "forget:extend"
    FORGET_EXPEDITE = "forget:expedite"
    SUPPRESSION_LIFT = "suppression:lift"
    ITEMS_FORGET = "items:forget"
    CONSOLIDATE = "consolidation:create"
    RECOMMEND = "recommend:read"
    INTERACTIONS_WRITE = "interactions:write"
    RUNS_READ = "runs:read"
    ADAPTERS_READ = "adapters:read"
    ROLL_BACK = "adapters:rollback"
    RECEIPTS_READ = "receipts:read"
    AUDIT_READ = "audit:read"
    EVENTS_READ = "events:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    METRICS_READ = "metrics:read"
    DOCS_READ = "docs:read"
    TARGETS_ACKNOWLEDGE = "targets:acknowledge"


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def issue(
    session: Session,
    *,
    name: str,
    scopes: Sequence[str],
    now: datetime,
    expires_at: datetime | None = None,
    rotation: int = 0,
) -> str:
    """Create a key and return it. The key cannot be read again later."""
    key = PREFIX + secrets.token_hex(32)
    session.add(
        ApiKey(
            key_digest=digest_of(key),
            name=name,
            rotation=rotation,
            scopes=[str(scope) for scope in scopes],
            created_at=now,
            expires_at=expires_at,
        )
    )
    return key


def rotate(
    session: Session, *, name: str, now: datetime, overlap: timedelta, expires_at: datetime | None
) -> str | None:
    """Issue a further key of this name, with the same scopes. Older ones of the name expire after ``overlap``.

    The name is who acts: requests, idempotency keys and audit entries stay those of the same caller.

    Returns:
        The key; None if the name has no valid one.
    """
    rows = session.scalars(select(ApiKey).where(ApiKey.name == name).order_by(ApiKey.rotation)).all()
    valid = [
        row for row in rows if row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
    ]
    if not valid:
        return None
    for row in valid:
        row.expires_at = min(row.expires_at or now + overlap, now + overlap)
    return issue(
        session,
        name=name,
        scopes=valid[-1].scopes,
        now=now,
        expires_at=expires_at,
        rotation=rows[-1].rotation + 1,
    )


def revoke(session: Session, *, name: str, now: datetime) -> bool:
    """Revoke all keys of this name. Returns False if there is no active one."""
    result = session.execute(
        update(ApiKey).where(ApiKey.name == name, ApiKey.revoked_at.is_(None)).values(revoked_at=now)
    )
    return rows_changed(result) > 0
