"""Forget requests, and the suppressions that outlive them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest
from app.db.models.statuses import RequestStatus


class ForgetRequest(Base):
    """One subject's forget request, with its deadline."""

    __tablename__ = "forget_requests"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    subject_hmac: Mapped[str] = mapped_column(Digest, index=True)
    epoch: Mapped[int] = mapped_column(BigInteger, unique=True)
    status: Mapped[str] = mapped_column(String(20), default=RequestStatus.QUEUED)
    outcome: Mapped[str | None] = mapped_column(String(20))
    detail_code: Mapped[str | None] = mapped_column(String(40))
    reason: Mapped[str | None] = mapped_column(String(40))
    client_reference: Mapped[str | None] = mapped_column(String(64))
    requested_by: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    due_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    # The rung of the policy's ladder at which the next run of this request starts.
    first_step: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = (
        Index(
            "uq_forget_requests_live",
            "subject_hmac",
            unique=True,
            sqlite_where=status != "completed",
            postgresql_where=status != "completed",
        ),
        Index("ix_forget_requests_queue", "status", "due_at"),
    )


class Suppression(Base):
    """The fact that a subject is suppressed. Never deleted: it keeps the data of an erased subject from coming back."""

    __tablename__ = "suppressions"
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    subject_hmac: Mapped[str] = mapped_column(Digest, unique=True)
    suppressed_at: Mapped[datetime]
