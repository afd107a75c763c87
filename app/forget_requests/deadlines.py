"""How much time a request has left, and which warnings are due. The rules of the clock are in `app/clock/`."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.audit.decision_events import ForgetDeadlineNears
from app.audit.transaction import Transaction
from app.clock.thresholds import PERCENTS, Threshold, last_passed, warnings
from app.db.models import ForgetRequest
from app.db.models.statuses import SETTLED


def time_left(due_at: datetime, now: datetime) -> timedelta:
    """The time until the deadline; negative once it has passed."""
    return due_at - now


def due_warnings(session: Session, now: datetime) -> dict[str, int]:
    """The open requests of which 50, 75, 90 or 100 % of the time have passed since the last warning.

    Returns:
        The percentage, by request id; 0 for a request of which it only has to be computed when to warn.
    """
    rows = session.scalars(
        select(ForgetRequest).where(
            ForgetRequest.status.not_in(SETTLED),
            ForgetRequest.warned_percent < PERCENTS[-1],
            or_(ForgetRequest.next_warning_at.is_(None), ForgetRequest.next_warning_at < now),
        )
    )
    return {request.id: _passed(request, now) for request in rows}


def warn(transaction: Transaction, percents: dict[str, int]) -> None:
    """Record that this share of the requests' time has passed, each warning once."""
    for request_id, percent in percents.items():
        request = transaction.session.get(ForgetRequest, request_id, with_for_update=True)
        if request is None or request.status in SETTLED:
            continue
        if percent > request.warned_percent:
            request.warned_percent = percent
            transaction.record(
                ForgetDeadlineNears(request=request_id, percent=percent, due_at=request.due_at.isoformat()),
                actor="worker",
            )
        plan_warning(request)


def plan_warning(request: ForgetRequest) -> None:
    """Set when the next warning is due. Call when the deadline was set or moved."""
    later = [one.at for one in _thresholds(request) if one.percent > request.warned_percent]
    request.next_warning_at = later[0] if later else request.due_at


def restart_warnings(request: ForgetRequest, now: datetime) -> None:
    """Count the warnings by the new deadline. Call when it was moved."""
    request.warned_percent = _passed(request, now)
    plan_warning(request)


def _passed(request: ForgetRequest, now: datetime) -> int:
    passed = last_passed(_thresholds(request), now)
    return 0 if passed is None else passed.percent


def _thresholds(request: ForgetRequest) -> tuple[Threshold, ...]:
    return warnings(request.clock_started_at or request.received_at, request.due_at)
