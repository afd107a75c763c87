"""Requests by the ids that OpenDSR tools have given them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class OpenDsrRequest(Base):
    """One request as a tool knows it. Several may stand for one forget request, which a person has once at a time.

    ``caller`` is the name of the tool's API key. ``callbacks`` has the ids of the webhook endpoints that are told; they
    may be removed since.
    """

    __tablename__ = "opendsr_requests"
    caller: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject_request_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), index=True)
    received_at: Mapped[datetime]
    callbacks: Mapped[list[str]]
