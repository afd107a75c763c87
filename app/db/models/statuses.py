"""The states of requests and runs, and other closed sets of words that rows hold."""

from __future__ import annotations

from enum import StrEnum


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
