"""Users' events and what is derived from them: what an erasure deletes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Double, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import BigId, Digest, ItemId


class Interaction(Base):
    """One event of a user. ``id`` grows with arrival; an adapter's training watermark refers to it.

    ``rating`` is what the user gave the item, as far as anybody said. Prompt styles that need none never read it.
    """

    __tablename__ = "interactions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    subject_hmac: Mapped[str] = mapped_column(Digest)
    item_id: Mapped[str] = mapped_column(ItemId)
    timestamp: Mapped[int] = mapped_column(BigInteger)
    rating: Mapped[float | None] = mapped_column(Double)

    __table_args__ = (
        UniqueConstraint("subject_hmac", "item_id", "timestamp"),
        Index("ix_interactions_subject_time", "subject_hmac", "timestamp"),
        # An id must never be used twice, not even after the newest row was erased: the watermark would lie.
        {"sqlite_autoincrement": True},
    )


class NeverSeenLevel(Base):
    """What a model that never saw this subject makes of their events up to ``watermark``, nats per event.

    Personal data: deleted in the transaction that deletes the subject's interactions. ``smoothing`` is the policy's
    that the losses were read with. ``seen_smoothed_nll`` is what the adapter showed that had seen the subject. The
    previous release writes ``nll`` and not that: a row without it counts as not made. ``nll`` goes with the next
    contraction.
    """

    __tablename__ = "never_seen_levels"
    subject_hmac: Mapped[str] = mapped_column(Digest, primary_key=True)
    watermark: Mapped[int] = mapped_column(BigInteger)
    smoothing: Mapped[float] = mapped_column(Double)
    nll: Mapped[float | None] = mapped_column(Double)
    smoothed_nll: Mapped[float] = mapped_column(Double)
    deviation: Mapped[float] = mapped_column(Double)
    seen_smoothed_nll: Mapped[float | None] = mapped_column(Double)
    created_at: Mapped[datetime]


class LevelMaking(Base):
    """One row while levels are made or half made: who makes them, of which events, and how far they are.

    `lease_until` is by the database's clock: then somebody else goes on from the parts that are kept, which were cut as
    `scheme` says. `done` of `parts` is for whoever waits.
    """

    __tablename__ = "level_makings"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    watermark: Mapped[int] = mapped_column(BigInteger)
    smoothing: Mapped[float] = mapped_column(Double)
    maker: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[datetime]
    scheme: Mapped[str] = mapped_column(String(32))
    done: Mapped[int] = mapped_column(default=0, server_default="0")
    parts: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)


class PartReading(Base):
    """What one part fit of the making made of one user's events, nats per event: all that is kept of it.

    Personal data: gone with the subject's events, or when the levels are made. `member`: it was fitted on this user.
    """

    __tablename__ = "part_readings"
    subject_hmac: Mapped[str] = mapped_column(Digest, primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    member: Mapped[bool]
    smoothed_nll: Mapped[float] = mapped_column(Double)
    validation_nll: Mapped[float] = mapped_column(Double)
    test_nll: Mapped[float] = mapped_column(Double)


class BaseReader(Base):
    """Somebody whom a base model has read, as its operator says."""

    __tablename__ = "base_readers"
    base_digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    subject_hmac: Mapped[str] = mapped_column(Digest, primary_key=True)


class PastReader(Base):
    """Somebody whom a version had read that has been replaced since, and who has not been forgotten yet.

    Noted before the version goes: afterwards nothing shows it any more, and `no_data` would be said of them.
    """

    __tablename__ = "past_readers"
    subject_hmac: Mapped[str] = mapped_column(Digest, primary_key=True)
