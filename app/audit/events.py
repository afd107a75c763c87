"""All events of the audit log. Names and fields never change, because existing logs must still verify.

The fields become keys of the entry's data. They hold JSON values, references and digests, never a user id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Base class. ``action`` is the event's name in the entry."""

    action: ClassVar[str]

    def data(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class ForgetAccepted(Event):
    """A forget request was accepted. ``subject`` is a value of `AuditLog.subject_digest`.

    ``subject_commitment`` is what the requester can open with a salt (`app.subjects.commitment`). None if nobody told
    the id: the request was read from the erasure journal. ``scope`` says what the request is about;
    ``selected_events`` counts the stored events that a request of scope `interactions` selects.
    """

    action = "forget.accepted"
    request: str
    epoch: int
    due_at: str
    subject: str
    subject_commitment: str | None = None
    scope: str = "user"
    selected_events: int | None = None


@dataclass(frozen=True)
class ForgetRetried(Event):
    action = "forget.retried"
    request: str


@dataclass(frozen=True)
class ForgetLeftOut(Event):
    """A request that needed a person is queued again, because the version that is live now has not read its subject."""

    action = "forget.left_out"
    request: str


@dataclass(frozen=True)
class ForgetReopened(Event):
    action = "forget.reopened"
    request: str


@dataclass(frozen=True)
class ForgetSplitOut(Event):
    """Requests left their run. ``step`` is the rung at which their next run starts."""

    action = "forget.split_out"
    run: str
    requests: Sequence[str]
    step: int


@dataclass(frozen=True)
class ForgetNeedsAttention(Event):
    action = "forget.needs_attention"
    run: str
    requests: Sequence[str]
    code: str


@dataclass(frozen=True)
class RunClaimed(Event):
    """A worker took the run. ``code`` names the code that it runs (`app.release`)."""

    action = "run.claimed"
    run: str
    kind: str
    fence: int
    claim: int
    covers_epoch: int
    policy_hash: str | None
    parent: str | None
    requests: Sequence[str]
    code: str | None = None


@dataclass(frozen=True)
class RunAttempted(Event):
    """A rung was tried. ``record`` is the digest of the attempt's row (`app.attempts.service.record_digest`)."""

    action = "run.attempted"
    run: str
    fence: int
    number: int | None
    step: int
    method: str
    decision: str
    accepted: bool
    policy_hash: str
    record: str | None = None


@dataclass(frozen=True)
class RungsSkipped(Event):
    action = "run.rungs_skipped"
    run: str
    fence: int
    first: int
    up_to: int
    rungs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class RunHandedBack(Event):
    action = "run.handed_back"
    run: str
    fence: int


@dataclass(frozen=True)
class RunHeldUp(Event):
    action = "run.held_up"
    run: str
    fence: int
    code: str


@dataclass(frozen=True)
class RunNeedsAttention(Event):
    action = "run.needs_attention"
    run: str
    code: str


@dataclass(frozen=True)
class _Completed(Event):
    """``outcomes`` maps requests to outcomes; ``parts`` says what was done to each part (`app.versions.parts`)."""

    run: str
    version: str | None
    requests: Sequence[str]
    outcomes: Mapping[str, str | None]
    parts: Mapping[str, str]
    completed_at: str


@dataclass(frozen=True)
class ForgetCompleted(_Completed):
    action = "forget.completed"


@dataclass(frozen=True)
class ConsolidationCompleted(_Completed):
    """A consolidation was completed. It has no requests."""

    action = "consolidation.completed"


@dataclass(frozen=True)
class BaseReadersStated(Event):
    """An operator has stated how many users of the service a base has read."""

    action = "base.readers_stated"
    base: str
    readers: int


@dataclass(frozen=True)
class ConsolidationRequested(Event):
    action = "consolidation.requested"
    run: str
    reason: str


@dataclass(frozen=True)
class ReplicasAcknowledged(Event):
    """Every live replica had acknowledged the generation, and no longer held the run's parent.

    ``replicas`` counts them.
    """

    action = "replicas.acknowledged"
    run: str
    fence: int
    generation: int
    version: str | None
    replicas: int


@dataclass(frozen=True)
class InteractionsErased(Event):
    action = "interactions.erased"
    run: str
    rows: int


@dataclass(frozen=True)
class RowsReclaimed(Event):
    action = "rows.reclaimed"
    run: str
    result: str


@dataclass(frozen=True)
class LevelsMade(Event):
    action = "levels.made"
    watermark: int
    smoothing: float
    users: int


@dataclass(frozen=True)
class VersionInstalled(Event):
    action = "version.installed"
    version: str
    generation: int
    forget_epoch: int


@dataclass(frozen=True)
class VersionRolledBack(Event):
    action = "version.rolled_back"
    version: str
    left: str | None
    generation: int
    forget_epoch: int


@dataclass(frozen=True)
class VersionPublished(Event):
    action = "version.published"
    run: str
    version: str
    parent: str | None
    generation: int
    forget_epoch: int
    erasure_floor: int


@dataclass(frozen=True)
class VersionWithdrawn(Event):
    action = "version.withdrawn"
    run: str
    version: str | None
    generation: int
    erasure_floor: int


@dataclass(frozen=True)
class VersionDestroyed(Event):
    action = "version.destroyed"
    run: str
    version: str


@dataclass(frozen=True)
class VersionSurvived(Event):
    """After a restore, ``version`` serves instead of ``replaced``, which must not serve; None if no version is left."""

    action = "version.survived"
    version: str | None
    replaced: str
    generation: int
    erasure_floor: int


@dataclass(frozen=True)
class TimelineStarted(Event):
    """A timeline was started. ``epochs`` has the new epochs of requests whose old epochs were handed out twice."""

    action = "timeline.started"
    timeline: int
    after_epoch: int
    readopted: int
    epochs: Mapping[str, int]
    floor_before: int
    floor: int
    withdrawn: str | None


@dataclass(frozen=True)
class TimelineConfirmed(Event):
    """An operator has confirmed that the timeline began with a restore."""

    action = "timeline.confirmed"
    timeline: int


@dataclass(frozen=True)
class AuditExported(Event):
    """Somebody has taken entries of this log out of the service."""

    action = "audit.exported"
    form: str
    action_filter: str
    about: str
    since: str | None
    until: str | None
