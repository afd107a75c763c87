"""The events that others are told: what happened to requests and versions, in the order of the commits."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest, ItemId


class PublicEvent(Base):
    """One event. Written in the transaction of what it tells, and dropped after the retention.

    It names a request or a takedown by its id and by the caller's own reference, and never the subject. ``status`` is
    that of the request or the takedown after the event.
    """

    __tablename__ = "public_events"
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(40))
    recorded_at: Mapped[datetime] = mapped_column(index=True)
    request_id: Mapped[str | None] = mapped_column(String(40))
    client_reference: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str | None] = mapped_column(String(20))
    version: Mapped[str | None] = mapped_column(Digest)
    takedown_id: Mapped[str | None] = mapped_column(String(40))
    item_id: Mapped[str | None] = mapped_column(ItemId)

    def describe(self, client_reference: str | None, status: str) -> None:
        """Take over what the event tells of its request."""
        self.client_reference, self.status = client_reference, status
