"""Users' events and the data derived from them. An erasure deletes all of this."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Double, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import BigId, Digest, ItemId


class Interaction(Base):
    """One event of a user. ``id`` grows in the order of arrival; an adapter's watermark is such an id.

    ``rating`` is what the user gave the item, if anybody said. Prompt styles that need no ratings never read it.
    """

    __tablename__ = "interactions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    subject_hmac: Mapped[str] = mapped_column(Digest)
    item_id: Mapped[str] = mapped_column(ItemId)
    timestamp: Mapped[int] = mapped_column(BigInteger)
    rating: Mapped[float | None] = mapped_column(Double)
    # The request that selected this event, by its epoch. From then on the event is hidden: nothing recommends from it
    # or trains on it.
    selected_epoch: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        UniqueConstraint("subject_hmac", "item_id", "timestamp"),
        Index("ix_interactions_subject_time", "subject_hmac", "timestamp"),
        Index(
            "ix_interactions_selected",
            "selected_epoch",
            sqlite_where=selected_epoch.is_not(None),
            postgresql_where=selected_epoch.is_not(None),
        ),
        # An id must never be used twice, even after the newest row was erased: a watermark would wrongly include it.
        {"sqlite_autoincrement": True},
    )


class NeverSeenLevel(Base):
    """What a model that never saw this subject makes of their events up to ``watermark``, nats per event.

    Personal data: deleted in the transaction that deletes the subject's interactions. ``smoothing`` is the policy's
    smoothing, with which the losses were measured. ``seen_smoothed_nll`` is the loss of the adapter that had seen the
    subject. The previous release writes ``nll`` and not ``seen_smoothed_nll``; a row without the latter counts as
    missing. The next contract migration removes ``nll``.
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
    """One row while levels are being made: who makes them, from which events, and how far they are.

    `lease_until` is by the database's clock. After it, another process goes on from the parts that are kept. `scheme`
    says how the users were divided into parts. `done` and `parts` show the progress to processes that wait.
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
    """The losses of one user's events under one part fit of the making, in nats per event. Nothing else of it is kept.

    Personal data: deleted with the subject's events, or when the levels are made. `member`: the part fit has read this
    user.
    """

    __tablename__ = "part_readings"
    subject_hmac: Mapped[str] = mapped_column(Digest, primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    member: Mapped[bool]
    smoothed_nll: Mapped[float] = mapped_column(Double)
    validation_nll: Mapped[float] = mapped_column(Double)
    test_nll: Mapped[float] = mapped_column(Double)


class BaseReader(Base):
    """A user whom a base has read, as stated by the operator."""

    __tablename__ = "base_readers"
    base_digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    subject_hmac: Mapped[str] = mapped_column(Digest, primary_key=True)


class PastReader(Base):
    """A user whom a version had read that has been replaced since, and who has not been forgotten yet.

    The row is written before the version is destroyed. Afterwards nothing else shows that the user was read, and the
    outcome of their request would wrongly be `no_data`.
    """

    __tablename__ = "past_readers"
    subject_hmac: Mapped[str] = mapped_column(Digest, primary_key=True)
