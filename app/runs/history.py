"""What the service has done lately, from the database: it survives every restart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Integer, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.db.models import Attempt, ForgetRequest, RequestStatus, Run, RunStatus
from app.db.models.statuses import SETTLED

_LATEST = 500


@dataclass(frozen=True)
class Day:
    """The requests that came in and that were completed on one day, UTC."""

    day: date
    received: int
    completed: int


@dataclass(frozen=True)
class Spread:
    """The median and the 95th percentile of ``count`` durations, in seconds; None if there are none."""

    count: int
    median: float | None
    p95: float | None


@dataclass(frozen=True)
class RungRecord:
    """How often the gate let a rung through. ``skipped`` attempts are none: a skipped rung was not tried."""

    step: int
    method: str
    tried: int
    accepted: int
    seconds: float


def by_day(session: Session, now: datetime, *, days: int) -> list[Day]:
    """The last days, the present one last."""
    today = now.date()
    first = today - timedelta(days=days - 1)
    received = _per_day(session, ForgetRequest.received_at, first)
    completed = _per_day(session, ForgetRequest.completed_at, first)
    listed = [first + timedelta(days=number) for number in range(days)]
    return [Day(day, received.get(day, 0), completed.get(day, 0)) for day in listed]


def oldest_waiting(session: Session) -> datetime | None:
    """Since when the request waits for a run that has waited longest; None if none waits."""
    row = ForgetRequest
    since = func.coalesce(row.status_since, row.received_at, type_=row.received_at.type)
    return session.scalar(select(func.min(since)).where(row.status == RequestStatus.QUEUED))


def working_since(session: Session) -> dict[str, datetime]:
    """Since when a run of each kind works, counted from its first claim; a kind of which none works is left out."""
    rows = session.execute(
        select(Run.kind, func.min(Run.started_at).label("since"))
        .where(Run.status == RunStatus.RUNNING, Run.started_at.is_not(None))
        .group_by(Run.kind)
    ).all()
    return {row.kind: row.since for row in rows}


def unfinished(session: Session) -> int:
    return session.scalar(select(func.count()).where(ForgetRequest.status.not_in(SETTLED))) or 0


def run_seconds(session: Session, kind: str) -> Spread:
    """How long the latest completed runs of this kind took, from their first claim on."""
    rows = session.execute(
        select(Run.started_at, Run.finished_at)
        .where(Run.kind == kind, Run.status == RunStatus.COMPLETED, Run.started_at.is_not(None))
        .order_by(Run.finished_at.desc())
        .limit(_LATEST)
    ).all()
    return spread([(row.finished_at - row.started_at).total_seconds() for row in rows])


def request_seconds(session: Session) -> Spread:
    """How long the latest completed requests took, from their receipt on."""
    rows = session.execute(
        select(ForgetRequest.received_at, ForgetRequest.completed_at)
        .where(ForgetRequest.completed_at.is_not(None))
        .order_by(ForgetRequest.completed_at.desc())
        .limit(_LATEST)
    ).all()
    return spread([(row.completed_at - row.received_at).total_seconds() for row in rows])


def rungs(session: Session, *, since: datetime) -> list[RungRecord]:
    """The gate's record of each rung and method since then, in the order of the ladder."""
    rows = session.execute(
        select(
            Attempt.step,
            Attempt.method,
            func.count().label("tried"),
            func.sum(cast(Attempt.accepted, Integer)).label("accepted"),
        )
        .where(Attempt.started_at >= since)
        .group_by(Attempt.step, Attempt.method)
        .order_by(Attempt.step, Attempt.method)
    ).all()
    return [
        RungRecord(
            row.step, row.method, row.tried, row.accepted, _median_seconds(session, row.step, row.method)
        )
        for row in rows
    ]


def spread(seconds: Sequence[float]) -> Spread:
    """Median and 95th percentile by the nearest rank."""
    if not seconds:
        return Spread(0, None, None)
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Spread(len(ordered), rank(0.5), rank(0.95))


def _median_seconds(session: Session, step: int, method: str) -> float:
    rows = session.execute(
        select(Attempt.started_at, Attempt.finished_at)
        .where(Attempt.step == step, Attempt.method == method)
        .order_by(Attempt.id.desc())
        .limit(100)
    ).all()
    return spread([(row.finished_at - row.started_at).total_seconds() for row in rows]).median or 0.0


def _per_day(
    session: Session,
    column: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    first: date,
) -> dict[date, int]:
    # Both give the day in UTC: SQLite stores UTC, and PostgreSQL would use the time zone of the session.
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    day: ColumnElement = func.date(func.timezone("UTC", column)) if on_postgresql else func.date(column)
    rows = session.execute(
        select(day.label("day"), func.count().label("requests"))
        .where(day >= (first if on_postgresql else first.isoformat()))
        .group_by(day)
    ).all()
    return {date.fromisoformat(str(row.day)): row.requests for row in rows}
