"""The one place that writes the status of a request, together with since when it is in that state."""

from __future__ import annotations

from typing import Any

from app.audit.transaction import Transaction
from app.db.models import ForgetRequest, RequestStatus
from app.forget_requests.states import REQUESTS, RequestEvent


def move_on(transaction: Transaction, request: ForgetRequest, event: RequestEvent) -> None:
    """Write the status after an event. What leaves the state as it is, such as a repeat, moves no time either.

    Raises:
        IllegalTransition: the event may not happen in this state.
    """
    before = request.status
    request.status = REQUESTS.after(before, event)
    if request.status != before:
        request.status_since, request.since_status = transaction.now(), request.status
        request.stalled_at = None


def moved_on(transaction: Transaction, status: RequestStatus, event: RequestEvent) -> dict[str, Any]:
    """What `move_on` writes, as the values of a statement about many requests, all of which are in this state.

    Raises:
        IllegalTransition: as `move_on` does.
        ValueError: the event does not change the state.
    """
    if REQUESTS.after(status, event) == status:
        raise ValueError(f"{event} does not change the state {status}")
    return {
        "status": REQUESTS.after(status, event),
        "status_since": transaction.now(),
        "since_status": REQUESTS.after(status, event),
        "stalled_at": None,
    }
