"""The ledger, the keys and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest


class Ledger(Base):
    """One row. Every transaction that accepts, claims, publishes or finishes locks it first, so they run in order.

    ``epoch`` grows by one with each suppression and each claim, ``fence`` with each claim. ``audit_*`` is the head of
    the audit chain. ``subject_key_check`` tells whether a process has the key that named the subjects.
    ``consolidation_budget`` is the budget of the worker that started last. ``timeline`` is the token of the store's
    timeline that this database state belongs to. ``event_sequence`` is the number of the last public event.
    """

    __tablename__ = "ledger"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    audit_sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    audit_head: Mapped[str] = mapped_column(Digest, default="0" * 64)
    audit_seal: Mapped[str] = mapped_column(Digest, default="")
    subject_key_check: Mapped[str | None] = mapped_column(Digest)
    consolidation_budget: Mapped[dict[str, Any] | None]
    timeline: Mapped[str | None] = mapped_column(String(32))
    event_sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")

    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)


class ApiKey(Base):
    """An API key. Only its SHA-256 is stored. A key has 256 random bits, so a digest without salt is enough.

    Keys of one name, told apart by ``rotation``, belong to the same caller.
    """

    __tablename__ = "api_keys"
    key_digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    rotation: Mapped[int] = mapped_column(default=0, server_default="0")
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("name", "rotation"),)


class AuditEntry(Base):
    """One entry of the audit chain. Triggers in the database refuse UPDATE and DELETE."""

    __tablename__ = "audit_entries"
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    recorded_at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]]
    previous_mac: Mapped[str] = mapped_column(Digest)
    mac: Mapped[str] = mapped_column(Digest)
