"""How much time a request has left, and which warnings are due. The rules of the clock are in `app/clock/`."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.decision_events import ForgetDeadlineNears
from app.audit.transaction import Transaction
from app.clock.thresholds import PERCENTS, last_passed, warnings
from app.db.models import ForgetRequest
from app.db.models.statuses import SETTLED


def time_left(due_at: datetime, now: datetime) -> timedelta:
    """The time until the deadline; negative once it has passed."""
    return due_at - now


def due_warnings(session: Session, now: datetime) -> dict[str, int]:
    """The open requests of which 50, 75, 90 or 100 % of the time have passed since the last warning.

    Returns:
        The percentage, by request id.
    """
    found = {}
    rows = session.scalars(
        select(ForgetRequest).where(
            ForgetRequest.status.not_in(SETTLED), ForgetRequest.warned_percent < PERCENTS[-1]
        )
    )
    for request in rows:
        started = request.clock_started_at or request.received_at
        passed = last_passed(warnings(started, request.due_at), now)
        if passed is not None and passed.percent > request.warned_percent:
            found[request.id] = passed.percent
    return found


def warn(transaction: Transaction, percents: dict[str, int]) -> None:
    """Record that this share of the requests' time has passed, each warning once."""
    for request_id, percent in percents.items():
        request = transaction.session.get(ForgetRequest, request_id, with_for_update=True)
        if request is not None and request.status not in SETTLED and percent > request.warned_percent:
            request.warned_percent = percent
            transaction.record(
                ForgetDeadlineNears(request=request_id, percent=percent, due_at=request.due_at.isoformat()),
                actor="worker",
            )
