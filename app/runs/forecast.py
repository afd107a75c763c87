"""When a request will be completed, from what the latest runs took and what is queued before it. No promise."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app.clock.prediction import predicted_completion
from app.db.models import ForgetRequest, RequestScope, RequestStatus, Run, RunStatus
from app.runs.states import RUN_OF

# So many of the latest runs are measured.
_LATEST = 100
_IN_A_RUN = (RequestStatus.UNLEARNING, RequestStatus.DEPLOYING)


def of_request(
    session: Session, request: ForgetRequest, now: datetime, *, requests_per_run: int
) -> datetime | None:
    """The instant by which the request is completed if runs take as long as most of the latest of their kind did.

    Returns:
        None if no such run was ever completed, or if a person must act before a run can take the request.
    """
    durations = _durations(session, RequestScope(request.scope))
    status, begins = request.status, now
    if status == RequestStatus.SCHEDULED and request.cancel_until is not None:
        begins = max(now, request.cancel_until)
    elif status not in (RequestStatus.QUEUED, *_IN_A_RUN):
        return None
    working = session.scalars(select(Run).where(Run.status == RunStatus.RUNNING)).first()
    return predicted_completion(
        begins,
        durations,
        requests_ahead=None if status in _IN_A_RUN else _ahead(session, request),
        requests_per_run=requests_per_run,
        running_since=working.started_at if working is not None else None,
    )


def _durations(session: Session, scope: RequestScope) -> list[timedelta]:
    rows = session.execute(
        select(Run.started_at, Run.finished_at)
        .where(Run.kind == RUN_OF[scope], Run.status == RunStatus.COMPLETED, Run.started_at.is_not(None))
        .order_by(Run.finished_at.desc())
        .limit(_LATEST)
    ).all()
    return [row.finished_at - row.started_at for row in rows]


def _ahead(session: Session, request: ForgetRequest) -> int:
    """The queued requests of the same scope that a run takes before this one."""
    row = ForgetRequest
    later = or_(row.due_at > request.due_at, and_(row.due_at == request.due_at, row.epoch >= request.epoch))
    before = ~later if request.expedited else or_(row.expedited, ~later)
    if request.expedited:
        before = and_(row.expedited, before)
    queued = and_(row.status == RequestStatus.QUEUED, row.scope == request.scope)
    return session.scalar(select(func.count()).where(queued, before)) or 0
