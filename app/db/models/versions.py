"""What serves, what has served, and who serves it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, Double, ForeignKey, String, false
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest


class Version(Base):
    """An adapter that has been published at least once, named by the digest of its manifest.

    ``exact``: made by a fit that read nobody suppressed until then, and not by an edit of its parent. ``subjects`` is
    the number of subjects that an edit had to forget. ``utility_change`` is its relative change of held-out NDCG@10, or
    of AUC - 0.5, if it was measured.
    """

    __tablename__ = "versions"
    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    parent_digest: Mapped[str | None] = mapped_column(Digest)
    forget_epoch: Mapped[int] = mapped_column(BigInteger)
    method: Mapped[str] = mapped_column(String(40))
    exact: Mapped[bool] = mapped_column(default=False, server_default=false())
    subjects: Mapped[int] = mapped_column(default=0, server_default="0")
    utility_change: Mapped[float | None] = mapped_column(Double)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    published_at: Mapped[datetime]
    destroyed_at: Mapped[datetime | None]


class ServingPointer(Base):
    """One row that names what serves. `generation` grows by one with each move; `erasure_floor` only grows."""

    __tablename__ = "serving_pointer"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    generation: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(Digest)
    previous_digest: Mapped[str | None] = mapped_column(Digest)
    candidate_digest: Mapped[str | None] = mapped_column(Digest)
    erasure_floor: Mapped[int] = mapped_column(BigInteger)
    moved_by: Mapped[str | None] = mapped_column(String(64))
    moved_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)


class Replica(Base):
    """The last report of one gateway process about itself.

    ``outside_engine`` names an engine outside the process, whose memory does not end with it: None if there is none.
    """

    __tablename__ = "replicas"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_seen_at: Mapped[datetime]
    generation: Mapped[int] = mapped_column(BigInteger)
    live_digest: Mapped[str | None] = mapped_column(Digest)
    ready_digest: Mapped[str | None] = mapped_column(Digest)
    epoch: Mapped[int] = mapped_column(BigInteger)
    resident_versions: Mapped[list[str]]
    error: Mapped[str | None] = mapped_column(String(60))
    outside_engine: Mapped[str | None] = mapped_column(String(64))


class LatencyHour(Base):
    """How long something took at one replica in one hour: a count for each step of `app.latencies.history.BOUNDS`.

    Kept for a while, for the dashboard.
    """

    __tablename__ = "latency_hours"
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    replica_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    what: Mapped[str] = mapped_column(String(20), primary_key=True)
    counts: Mapped[list[int]] = mapped_column(JSON)
