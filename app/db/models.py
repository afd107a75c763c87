"""Every table of the service. No table holds a raw user id: users are known by their keyed HMAC (``subject_hmac``)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base

# SQLite only auto-increments a column typed exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
Digest = String(64)
# As long as `inputs` allows. SQLite does not look at the length, and declares the old one.
ItemId = String(256).with_variant(String(128), "sqlite")


class RequestStatus(StrEnum):
    """Where a forget request stands. There is no `failed`: an erasure can only be late."""

    QUEUED = "queued"  # accepted and suppressed; waits for a run
    UNLEARNING = "unlearning"  # a run edits the adapter and the gate measures
    DEPLOYING = "deploying"  # published; waits for every replica, then destroys what is older
    COMPLETED = "completed"
    NEEDS_ATTENTION = "needs_attention"  # a person must act; suppression stays, the clock runs


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    NEEDS_ATTENTION = "needs_attention"


class RunKind(StrEnum):
    """What a run is for."""

    FORGET = "forget"  # edits the live version so that it forgets the subjects of its requests
    CONSOLIDATION = "consolidation"  # replaces the live version by an exact re-fit; has no requests


class ConsolidationReason(StrEnum):
    """Why a consolidation was requested: by somebody, or because this part of the policy's budget is spent."""

    ON_DEMAND = "on_demand"
    SUBJECTS = "subjects"
    ATTENUATIONS = "attenuations"
    AGE = "age"
    UTILITY = "utility"


class RunStage(StrEnum):
    """What a running run is doing. From `PUBLISHED` on, a reclaimed run continues instead of starting again."""

    WAITING = "waiting"
    LADDER = "ladder"
    PREPARING = "preparing"
    PUBLISHED = "published"
    ERASING = "erasing"
    DONE = "done"


class Ledger(Base):
    """One row, locked first by every transaction that accepts, claims, publishes or finishes: it puts them in order.

    ``epoch`` ticks with each suppression and with each claim, ``fence`` with each claim, ``audit_*`` is the head of
    the audit chain, ``subject_key_check`` tells whether a process holds the key the subjects were named with.
    ``consolidation_budget`` is what the policy of the worker that started last allows to add up. ``timeline`` is the
    token of the store's timeline that this database state belongs to.
    """

    __tablename__ = "ledger"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    audit_sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    audit_head: Mapped[str] = mapped_column(Digest, default="0" * 64)
    audit_seal: Mapped[str] = mapped_column(Digest, default="")
    subject_key_check: Mapped[str | None] = mapped_column(Digest)
    consolidation_budget: Mapped[dict[str, Any] | None]
    timeline: Mapped[str | None] = mapped_column(String(32))

    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)


class Interaction(Base):
    """One event of a user. ``id`` grows with arrival; an adapter's training watermark refers to it."""

    __tablename__ = "interactions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    subject_hmac: Mapped[str] = mapped_column(Digest)
    item_id: Mapped[str] = mapped_column(ItemId)
    timestamp: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        UniqueConstraint("subject_hmac", "item_id", "timestamp"),
        Index("ix_interactions_subject_time", "subject_hmac", "timestamp"),
        # An id must never be used twice, not even after the newest row was erased: the watermark would lie.
        {"sqlite_autoincrement": True},
    )


class Run(Base):
    """One execution on the worker. `dispatched_at` says when a worker was last told of it."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), default=RunKind.FORGET, server_default=RunKind.FORGET)
    reason: Mapped[str | None] = mapped_column(String(20))
    # A waiting consolidation lets forget runs go first until then.
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
    # How often the surroundings have held it up: each pause is longer than the one before.
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
        # At most one of each kind waits and at most one works, whatever the processes believe.
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


class ForgetRequest(Base):
    """One subject's request, with a clock."""

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
    # The rung of the policy's ladder that the next run of this request starts at.
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
    """The fact that a subject is suppressed. Never deleted: it is what keeps an erased subject from coming back."""

    __tablename__ = "suppressions"
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    subject_hmac: Mapped[str] = mapped_column(Digest, unique=True)
    suppressed_at: Mapped[datetime]


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


class Attempt(Base):
    """One rung of the ladder as it was tried on some of a run's requests. Written once, kept for ever.

    `number` counts the attempts of a run under one fence from 0. `requests` are the request ids in the order of the
    report's subjects. `search` is the interval and every value tried where the rung searched its strength. Number
    and requests are null in what a release without them recorded: then each rung was tried once, on everybody.
    `rung_digest` names the rung by all that makes it pass or not (`worker.track_record`), `watermark` the events that
    the edited version was fitted on; both are null in what an earlier release recorded, and outside of a ladder.
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
    """A rung that a run did without, for these of its requests. Written once, kept for ever."""

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
    """A request that an attempt was made for; `Attempt.requests` has them in the order of the report."""

    __tablename__ = "attempt_requests"
    attempt_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("attempts.id"), primary_key=True, autoincrement=False
    )
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), primary_key=True, index=True)


class SkippedRungRequest(Base):
    """A request that a run did without a rung for."""

    __tablename__ = "skipped_rung_requests"
    skipped_rung_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("skipped_rungs.id"), primary_key=True, autoincrement=False
    )
    request_id: Mapped[str] = mapped_column(ForeignKey("forget_requests.id"), primary_key=True, index=True)


class Version(Base):
    """An adapter that has been published at least once, named by the digest of its manifest.

    ``exact``: made by a fit that read nobody suppressed until then, not by an edit of its parent. ``subjects`` is how
    many an edit was to forget, ``utility_change`` its relative change of held-out NDCG@10, where it was measured.
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
    """One row: what serves. `generation` grows by one with each move; `erasure_floor` only grows."""

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


class OutboxEntry(Base):
    """Something that is to be told outside, until it is told: `app.outbox.service`."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    topic: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str] = mapped_column(String(64))
    due_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("topic", "reference"),)


class Replica(Base):
    """What one gateway process last said about itself."""

    __tablename__ = "replicas"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_seen_at: Mapped[datetime]
    generation: Mapped[int] = mapped_column(BigInteger)
    live_digest: Mapped[str | None] = mapped_column(Digest)
    ready_digest: Mapped[str | None] = mapped_column(Digest)
    epoch: Mapped[int] = mapped_column(BigInteger)
    resident_versions: Mapped[list[str]]
    error: Mapped[str | None] = mapped_column(String(60))


class ApiKey(Base):
    """A caller. Only the SHA-256 of the key is stored; a key is 256 random bits, so a plain digest is enough."""

    __tablename__ = "api_keys"
    key_digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditEntry(Base):
    """One link of the audit chain. Triggers of the migration refuse UPDATE and DELETE."""

    __tablename__ = "audit_entries"
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    recorded_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]]
    previous_mac: Mapped[str] = mapped_column(Digest)
    mac: Mapped[str] = mapped_column(Digest)
