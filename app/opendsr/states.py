"""What OpenDSR calls the states of a forget request."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from app.db.models import RequestStatus


class Status(StrEnum):
    """The states that OpenDSR knows."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


# A request can be cancelled as long as it is pending. OpenDSR has no state for a denial, and none for a request that
# waits for a person.
STATES: Mapping[RequestStatus, Status] = {
    RequestStatus.PENDING_VERIFICATION: Status.PENDING,
    RequestStatus.PENDING_APPROVAL: Status.PENDING,
    RequestStatus.SCHEDULED: Status.PENDING,
    RequestStatus.ON_HOLD: Status.PENDING,
    RequestStatus.QUEUED: Status.PENDING,
    RequestStatus.UNLEARNING: Status.IN_PROGRESS,
    RequestStatus.DEPLOYING: Status.IN_PROGRESS,
    RequestStatus.NEEDS_ATTENTION: Status.IN_PROGRESS,
    RequestStatus.COMPLETED: Status.COMPLETED,
    RequestStatus.CANCELLED: Status.CANCELLED,
    RequestStatus.DENIED: Status.CANCELLED,
}
