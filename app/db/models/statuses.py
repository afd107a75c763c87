"""The states of requests and runs, and other enumerations that rows contain."""

from __future__ import annotations

from enum import StrEnum


class RequestStatus(StrEnum):
    """The state of a forget request. There is no `failed`: an erasure can only be late.

    The subject is suppressed in every state but `pending_verification`, `cancelled` and `denied`.
    """

    PENDING_VERIFICATION = (
        "pending_verification"  # waits until somebody has made sure who asks; nothing has begun
    )
    PENDING_APPROVAL = "pending_approval"  # waits for a second person, where the request policy asks for one
    SCHEDULED = "scheduled"  # waits for the end of its cancel window
    ON_HOLD = "on_hold"  # a person has stopped it, for example for a legal hold; the deadline stays
    QUEUED = "queued"  # waits for a run
    UNLEARNING = "unlearning"  # a run edits the adapter and the gate measures
    DEPLOYING = "deploying"  # published; waits for every replica, then destroys older versions
    COMPLETED = "completed"  # nothing that exists still knows the subject
    NEEDS_ATTENTION = "needs_attention"  # a person must act; the suppression and the deadline stay
    CANCELLED = "cancelled"  # withdrawn before a run took it; the suppression, if there was one, is lifted
    DENIED = (
        "denied"  # refused by two people before a run took it; the suppression, if there was one, is lifted
    )


class RequestScope(StrEnum):
    """What a request asks to forget."""

    USER = "user"  # a person, with everything
    INTERACTIONS = "interactions"  # some of a person's events; the person stays


# Requests in these states are over.
SETTLED = frozenset({RequestStatus.COMPLETED, RequestStatus.CANCELLED, RequestStatus.DENIED})


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    NEEDS_ATTENTION = "needs_attention"


class RunKind(StrEnum):
    """The purpose of a run."""

    FORGET = "forget"  # edits the live version so that it forgets the subjects of its requests
    SELECTION = "selection"  # re-fits the live version without the events that its requests select
    CONSOLIDATION = "consolidation"  # replaces the live version by an exact re-fit; has no requests


class ConsolidationReason(StrEnum):
    """Why a consolidation was requested: on demand, because this item of the policy's budget is spent, or because the
    request policy wants one for an item that was taken down.
    """

    ON_DEMAND = "on_demand"
    SUBJECTS = "subjects"
    ATTENUATIONS = "attenuations"
    AGE = "age"
    UTILITY = "utility"
    TAKEDOWN = "takedown"


class RunStage(StrEnum):
    """What a running run is doing. From `PUBLISHED` on, a run that is claimed again continues where it stood."""

    WAITING = "waiting"
    LADDER = "ladder"
    PREPARING = "preparing"
    PUBLISHED = "published"
    ERASING = "erasing"
    DONE = "done"
