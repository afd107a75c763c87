"""Runs, the rungs that they tried and skipped, and the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import BigId, Digest
from app.db.models.statuses import RunKind, RunStage, RunStatus


class Run(Base):
    """One execution on the worker. `dispatched_at` is the time of the last message about it to the workers."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), default=RunKind.FORGET, server_default=RunKind.FORGET)
    reason: Mapped[str | None] = mapped_column(String(20))
    # Until this time a waiting consolidation lets forget runs go first.
    yields_until: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(20), default=RunStatus.QUEUED)
    stage: Mapped[str] = mapped_column(String(20), default=RunStage.WAITING)
    created_at: Mapped[datetime]
    dispatched_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    claims: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_until: Mapped[datetime | None]
    # The number of outages so far: each pause is longer than the one before.
    outages: Mapped[int] = mapped_column(default=0, server_default="0")
    progress: Mapped[str | None] = mapped_column(String(120))
    covers_epoch: Mapped[int | None] = mapped_column(BigInteger)
    parent_digest: Mapped[str | None] = mapped_column(Digest)
    version_digest: Mapped[str | None] = mapped_column(Digest)
    policy_hash: Mapped[str | None] = mapped_column(Digest)
    policy: Mapped[dict[str, Any] | None]
    detail_code: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[str | None] = mapped_column(String(500))

    __table_args__ = (
        # At most one run of each kind waits and at most one works. The database enforces it.
        Index(
            "uq_runs_queued",
            "kind",
            unique=True,
            sqlite_where=status == "queued",
            postgresql_where=status == "queued",
        ),
        Index(
            "uq_runs_running",
            "status",
            unique=True,
            sqlite_where=status == "running",
            postgresql_where=status == "running",
        ),
    )


class Attempt(Base):
    """One rung of the ladder as it was tried on some of a run's requests. Written once, kept for ever.

    `number` counts the attempts of a run under one fence from 0. `requests` are the request ids in the order of the
    report's subjects. `search` has the interval and every value tried, if the rung searched its strength. `number` and
    `requests` are null in records of an earlier release, which tried each rung once, on everybody.
    `rung_digest` is a digest of all that decides whether the rung passes (`worker.track_record`). `watermark` is that
    of the edited version. Both are null in records of an earlier release, and outside of a ladder.
    """

    __tablename__ = "attempts"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    fence: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int | None]
    step: Mapped[int]
    requests: Mapped[list[str] | None]
    method: Mapped[str] = mapped_column(String(40))
    config: Mapped[dict[str, Any]]
    search: Mapped[dict[str, Any] | None]
    policy_hash: Mapped[str] = mapped_column(Digest)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    decision: Mapped[str] = mapped_column(String(20))
    accepted: Mapped[bool]
    report: Mapped[dict[str, Any]]
    verdict: Mapped[dict[str, Any]]
    rung_digest: Mapped[str | None] = mapped_column(Digest, index=True)
    watermark: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (UniqueConstraint("run_id", "fence", "number"),)


class SkippedRung(Base):
    """A rung that a run skipped for these of its requests. Written once, kept for ever."""

    __tablename__ = "skipped_rungs"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    step: Mapped[int]
    requests: Mapped[list[str]]
    method: Mapped[str] = mapped_column(String(40))
    config: Mapped[dict[str, Any]]
    rung_digest: Mapped[str] = mapped_column(Digest, index=True)
    code: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(String(500))
    skipped_at: Mapped[datetime]


class AttemptRequest(Base):
    """A request for which an attempt was made. `Attempt.requests` has them in the order of the report."""

    __tablename__ = "attempt_requests"
    attempt_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("attempts.id"), primary_key=True, autoincrement=False
    )
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), primary_key=True, index=True)


class SkippedRungRequest(Base):
    """A request for which a run skipped a rung."""

    __tablename__ = "skipped_rung_requests"
    skipped_rung_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("skipped_rungs.id"), primary_key=True, autoincrement=False
    )
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), primary_key=True, index=True)


class RunNote(Base):
    """What a worker noted while it worked on a run: `kind` says what is in `data`, see `app.runs.notes`.

    Kept for a while, for people who watch a run or look at it afterwards. Nothing else reads it.
    """

    __tablename__ = "run_notes"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(10))
    noted_at: Mapped[datetime] = mapped_column(index=True)
    data: Mapped[dict[str, Any]]


class OutboxEntry(Base):
    """A message that must still be sent, see `app.outbox.service`."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    topic: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str] = mapped_column(String(64))
    due_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("topic", "reference"),)
