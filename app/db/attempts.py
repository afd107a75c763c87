"""Reading attempts back: what was tried for one request, and how long a method takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import String, select
from sqlalchemy.orm import Session

from app.db.models import Attempt, ForgetRequest

_RECENT = 20
_CLOCKS_APART = timedelta(days=1)


def of_request(session: Session, request: ForgetRequest) -> Sequence[Attempt]:
    """Every attempt that named this request, in whichever run, the oldest first."""
    # A JSON list has no portable index; an attempt for a request cannot be older than the request, but for the clocks
    # of two machines.
    named = Attempt.requests.cast(String).contains(f'"{request.id}"', autoescape=True)
    earliest = request.received_at - _CLOCKS_APART
    return session.scalars(
        select(Attempt).where(Attempt.started_at >= earliest, named).order_by(Attempt.id)
    ).all()


def slowest(session: Session, method: str) -> timedelta | None:
    """The longest of the last 20 attempts of this method, measurement included; None where there was none."""
    recent = session.execute(
        select(Attempt.started_at, Attempt.finished_at)
        .where(Attempt.method == method)
        .order_by(Attempt.id.desc())
        .limit(_RECENT)
    ).all()
    return max((row.finished_at - row.started_at for row in recent), default=None)
