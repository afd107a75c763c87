"""The states of requests and runs, and other enumerations that rows contain."""

from __future__ import annotations

from enum import StrEnum


class RequestStatus(StrEnum):
    """The state of a forget request. There is no `failed`: an erasure can only be late."""

    QUEUED = "queued"  # accepted and suppressed; waits for a run
    UNLEARNING = "unlearning"  # a run edits the adapter and the gate measures
    DEPLOYING = "deploying"  # published; waits for every replica, then destroys older versions
    COMPLETED = "completed"
    NEEDS_ATTENTION = "needs_attention"  # a person must act; the suppression and the deadline stay


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    NEEDS_ATTENTION = "needs_attention"


class RunKind(StrEnum):
    """The purpose of a run."""

    FORGET = "forget"  # edits the live version so that it forgets the subjects of its requests
    CONSOLIDATION = "consolidation"  # replaces the live version by an exact re-fit; has no requests


class ConsolidationReason(StrEnum):
    """Why a consolidation was requested: on demand, or because this item of the policy's budget is spent."""

    ON_DEMAND = "on_demand"
    SUBJECTS = "subjects"
    ATTENUATIONS = "attenuations"
    AGE = "age"
    UTILITY = "utility"


class RunStage(StrEnum):
    """What a running run is doing. From `PUBLISHED` on, a run that is claimed again continues where it stood."""

    WAITING = "waiting"
    LADDER = "ladder"
    PREPARING = "preparing"
    PUBLISHED = "published"
    ERASING = "erasing"
    DONE = "done"
