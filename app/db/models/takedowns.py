"""Items that were taken down."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest, ItemId

# From `hidden` on nothing names the item. `erased`: nothing that exists has read its events.
TakedownState = Literal["hidden", "erased"]


class ItemTakedown(Base):
    """An item that is never recommended again. Never deleted: it keeps the item, and its events, from coming back.

    ``item_id`` is the canonical spelling (`inputs.identifier`). A takedown is erased once nothing that exists has read
    the item's events: ``version_digest`` serves then (None if none does), and ``run_id`` is the run that found it.
    """

    __tablename__ = "item_takedowns"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    item_id: Mapped[str] = mapped_column(ItemId, unique=True)
    epoch: Mapped[int] = mapped_column(BigInteger, unique=True)
    client_reference: Mapped[str | None] = mapped_column(String(64))
    requested_by: Mapped[str] = mapped_column(String(64))
    taken_down_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]
    erased_events: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    version_digest: Mapped[str | None] = mapped_column(Digest)

    @property
    def state(self) -> TakedownState:
        """`hidden`, until it is erased."""
        return "hidden" if self.erased_at is None else "erased"


class TakenItemId(Base):
    """A spelling of a taken item's id in stored events, by which every read of events leaves them out."""

    __tablename__ = "taken_item_ids"
    item_id: Mapped[str] = mapped_column(ItemId, primary_key=True)
    takedown_id: Mapped[str] = mapped_column(ForeignKey("item_takedowns.id"), index=True)
