"""Answers to requests with an `Idempotency-Key`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest


class KeptAnswer(Base):
    """The answer to one request with a key. The same request gets it again until ``expires_at``.

    ``key_mac`` and ``fingerprint`` are keyed, because a client's key and a path can contain a user id. The body is an
    answer of ours, and no answer contains one.
    """

    __tablename__ = "kept_answers"
    key_mac: Mapped[str] = mapped_column(Digest, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Digest)
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(index=True)
