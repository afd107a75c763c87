"""The recipients that a forget request was told to, and what they have answered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class ForgetTarget(Base):
    """One recipient of one request's notice, by the name of its webhook endpoint, which may be removed since.

    ``acknowledged_by`` is the endpoint's own name, or that of the key which has acknowledged in its place.
    """

    __tablename__ = "forget_targets"
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    mandatory: Mapped[bool]
    notified_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(64))
