"""Batches of forget requests, and what became of each item."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest


class ForgetBatch(Base):
    """A batch. Its items are accepted in several transactions.

    ``key_mac`` and ``fingerprint`` are those of the request that brings it. When that is sent again after a crash, the
    remaining items are accepted. ``key_mac`` is emptied when the client may use the key again.
    """

    __tablename__ = "forget_batches"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    key_mac: Mapped[str | None] = mapped_column(Digest, unique=True)
    fingerprint: Mapped[str] = mapped_column(Digest)
    requested_by: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    size: Mapped[int]


class ForgetBatchItem(Base):
    """One item: its place in the batch, and the request that was accepted for it or existed already.

    ``errors`` says what is wrong with an invalid item. It quotes nothing that the client has sent.
    """

    __tablename__ = "forget_batch_items"
    batch_id: Mapped[str] = mapped_column(ForeignKey("forget_batches.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    result: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str | None] = mapped_column(ForeignKey("forget_requests.id"), index=True)
    errors: Mapped[list[dict[str, str]] | None] = mapped_column(JSON)
