"""Queries of forget requests: one request, those of a run, and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import ForgetRequest
from app.db.models.statuses import SETTLED


def find(session: Session, request_id: str) -> ForgetRequest | None:
    return session.get(ForgetRequest, request_id)


def of_run(session: Session, run_id: str) -> Sequence[ForgetRequest]:
    return session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.run_id == run_id)
        .order_by(ForgetRequest.due_at, ForgetRequest.epoch)
    ).all()


def counts_of_runs(session: Session, run_ids: Sequence[str]) -> dict[str, int]:
    """How many requests each of these runs has; a run without any is left out."""
    rows = session.execute(
        select(ForgetRequest.run_id, func.count().label("requests"))
        .where(ForgetRequest.run_id.in_(run_ids))
        .group_by(ForgetRequest.run_id)
    ).all()
    return {row.run_id: row.requests for row in rows}


@dataclass(frozen=True)
class RequestCounts:
    by_status: dict[str, int]
    overdue: int


def counts(session: Session, now: datetime) -> RequestCounts:
    """Count requests. The overdue ones are counted in every unfinished state, also in `needs_attention`."""
    rows = session.execute(
        select(ForgetRequest.status, func.count().label("requests")).group_by(ForgetRequest.status)
    ).all()
    overdue = session.scalar(
        select(func.count()).where(ForgetRequest.status.not_in(SETTLED), ForgetRequest.due_at < now)
    )
    return RequestCounts({row.status: row.requests for row in rows}, overdue or 0)
