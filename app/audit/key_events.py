"""Events of the audit log: who may act. See `app.audit.events`. They hold names and scopes, and never a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.audit.events import Event


@dataclass(frozen=True)
class KeyIssued(Event):
    """``expires_at`` is an instant; None if the key is valid until it is revoked."""

    action = "key.issued"
    name: str
    scopes: Sequence[str]
    expires_at: str | None


@dataclass(frozen=True)
class KeyRotated(Event):
    """Another key of the same name was issued. The former ones end at ``former_until`` at the latest."""

    action = "key.rotated"
    name: str
    expires_at: str | None
    former_until: str


@dataclass(frozen=True)
class KeyRevoked(Event):
    """All keys of this name were revoked."""

    action = "key.revoked"
    name: str
