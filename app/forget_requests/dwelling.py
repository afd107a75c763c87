"""Which requests have stayed in one state for longer than the request policy allows: they are stalled (R-4).

Whether a request is stalled is worked out when it is read, so a gateway says so even if no worker is left to sweep.
A worker's sweep records it, once for each stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.audit.decision_events import ForgetStalled
from app.audit.transaction import Transaction
from app.db.models import ForgetRequest, RequestStatus
from app.db.models.statuses import SETTLED
from app.forget_requests.policy import LongestHours

_OPEN = tuple(status for status in RequestStatus if status not in SETTLED)
# How many one sweep records: no request is accepted meanwhile.
_AT_ONCE = 100
# The end of a state that ends by itself; the limit counts from there.
_ENDS: dict[RequestStatus, InstrumentedAttribute[Any]] = {
    RequestStatus.PENDING_VERIFICATION: ForgetRequest.verify_until,
    RequestStatus.SCHEDULED: ForgetRequest.cancel_until,
}


def is_stalled(request: ForgetRequest, longest: LongestHours, now: datetime) -> bool:
    """Whether a request has stayed too long in its state. `stalled` is the same as a condition."""
    return exceeded(request, longest, now) is not None


def exceeded(
    request: ForgetRequest, longest: LongestHours, now: datetime
) -> tuple[datetime, timedelta] | None:
    """The limit that a request has exceeded, and since when it counts; None if the request is not stalled."""
    status = RequestStatus(request.status)
    if status in SETTLED:
        return None
    begins = getattr(request, _ENDS[status].key) if status in _ENDS else None
    if begins is None and request.since_status == status:
        begins = request.status_since
    limits = [(begins, longest.of(status))]
    if status is RequestStatus.ON_HOLD:
        limits.append((request.review_at, timedelta()))
    for since, limit in limits:
        if since is not None and since < now - limit:
            return since, limit
    return None


def stalled(longest: LongestHours, now: datetime) -> ColumnElement[bool]:
    """The condition that a request has stayed too long in its state. It can be null, for a request without a time."""
    row = ForgetRequest
    too_long = [
        and_(row.status == status, _counts_from_before(status, now - longest.of(status))) for status in _OPEN
    ]
    return or_(*too_long, and_(row.status == RequestStatus.ON_HOLD, row.review_at < now))


def counts(session: Session, longest: LongestHours, now: datetime) -> dict[str, int]:
    """How many requests are stalled in each state; a state without any is left out."""
    rows = session.execute(
        select(ForgetRequest.status, func.count().label("requests"))
        .where(stalled(longest, now))
        .group_by(ForgetRequest.status)
    ).all()
    return {row.status: row.requests for row in rows}


def to_tell(session: Session, longest: LongestHours, now: datetime) -> Sequence[str]:
    """The ids of some stalled requests of which this was not recorded, and of some that have no time yet."""
    row = ForgetRequest
    untold = and_(row.stalled_at.is_(None), stalled(longest, now))
    return session.scalars(select(row.id).where(or_(untold, _without_time())).limit(_AT_ONCE)).all()


def tell(transaction: Transaction, ids: Sequence[str], longest: LongestHours, now: datetime) -> int:
    """Record that these requests are stalled, each once for each stay in a state. Returns how many were.

    What has no time in its state, because an earlier release has moved it, counts from now on.
    """
    told = 0
    rows = transaction.session.scalars(
        select(ForgetRequest).where(ForgetRequest.id.in_(ids)).order_by(ForgetRequest.epoch).with_for_update()
    ).all()
    for request in rows:
        if request.since_status != request.status:
            request.status_since, request.since_status, request.stalled_at = now, request.status, None
        over = exceeded(request, longest, now)
        # What has moved on since it was found, or was told by another sweep, is not told.
        if request.stalled_at is not None or over is None:
            continue
        request.stalled_at = now
        since, limit = over
        transaction.record(
            ForgetStalled(
                request=request.id,
                status=request.status,
                since=since.isoformat(),
                longest_hours=limit / timedelta(hours=1),
            ),
            actor="worker",
        )
        told += 1
    return told


def _counts_from_before(status: RequestStatus, moment: datetime) -> ColumnElement[bool]:
    row = ForgetRequest
    in_state = and_(row.since_status == status, row.status_since < moment)
    if status not in _ENDS:
        return in_state
    return or_(_ENDS[status] < moment, and_(_ENDS[status].is_(None), in_state))


def _without_time() -> ColumnElement[bool]:
    row = ForgetRequest
    return and_(row.status.in_(_OPEN), or_(row.since_status.is_(None), row.since_status != row.status))
