"""Some of a person's events that must be forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest


class EventSelection(Base):
    """The events that a request of scope `interactions` selects. Kept after its completion, so that an import does not
    bring the events back.

    ``criteria`` is `app.selections.criteria.Criteria` as JSON; it holds digests of items and no item. A cancelled
    or denied request lifts its selection, as it does a suppression.
    """

    __tablename__ = "event_selections"
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), unique=True)
    subject_hmac: Mapped[str] = mapped_column(Digest, index=True)
    criteria: Mapped[dict[str, Any]]
    lifted_epoch: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    lifted_at: Mapped[datetime | None]
    lifted_because: Mapped[str | None] = mapped_column(String(20))
