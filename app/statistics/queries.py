"""Counts and median durations of a year's forget requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, and_, case, cast, extract, func, literal, or_, select
from sqlalchemy.orm import Session

from app.db.models import ForgetRequest

_SECONDS_PER_DAY = timedelta(days=1).total_seconds()
# When the request was completed, cancelled or denied.
_OVER = func.coalesce(ForgetRequest.completed_at, ForgetRequest.withdrawn_at)
# A request that was cancelled or denied has its state for an outcome, as in the API.
_OUTCOME = case((ForgetRequest.withdrawn_at.is_not(None), ForgetRequest.status), else_=ForgetRequest.outcome)


@dataclass(frozen=True)
class OutcomeFigures:
    """The requests with one outcome, and the median of the days from receipt until they were over."""

    outcome: str
    requests: int
    median_days: float


@dataclass(frozen=True)
class YearFigures:
    """The requests received in a calendar year in UTC. ``overdue``: they missed their deadline, completed or not."""

    year: int
    received: int
    overdue: int
    outcomes: tuple[OutcomeFigures, ...]
    median_days: float | None


def years_with_requests(session: Session) -> list[int]:
    """The years from the first request to the last one, also those without any."""
    first, last = session.execute(
        select(func.min(ForgetRequest.received_at), func.max(ForgetRequest.received_at))
    ).one()
    return [] if first is None else list(range(first.astimezone(UTC).year, last.astimezone(UTC).year + 1))


def of_year(session: Session, year: int, now: datetime) -> YearFigures:
    """The figures of the requests received in the year."""
    received = and_(
        ForgetRequest.received_at >= datetime(year, 1, 1, tzinfo=UTC),
        ForgetRequest.received_at < datetime(year + 1, 1, 1, tzinfo=UTC),
    )
    missed = and_(ForgetRequest.due_at < now, or_(_OVER.is_(None), ForgetRequest.due_at < _OVER))
    count, overdue = session.execute(
        select(func.count(), func.count(case((missed, 1)))).select_from(ForgetRequest).where(received)
    ).one()
    over = and_(received, _OVER.is_not(None))
    outcomes = tuple(OutcomeFigures(*figures) for figures in _medians(session, over, _OUTCOME))
    together = _medians(session, over, literal("all"))
    return YearFigures(year, count, overdue, outcomes, together[0][2] if together else None)


def _medians(
    session: Session, which: ColumnElement[bool], group: ColumnElement[Any]
) -> list[tuple[str, int, float]]:
    """For each value of an expression: the value, the number of requests, and the median of their days.

    The median is the mean of the two middle values. SQLite has no function for it.
    """
    days = _days(session)
    ranked = (
        select(
            group.label("name"),
            days.label("days"),
            func.row_number().over(partition_by=group, order_by=days).label("place"),
            func.count().over(partition_by=group).label("size"),
        )
        .where(which)
        .subquery()
    )
    rows = session.execute(
        select(ranked.c.name, func.max(ranked.c.size), func.avg(ranked.c.days))
        .where((ranked.c.place * 2 - ranked.c.size).between(0, 2))
        .group_by(ranked.c.name)
        .order_by(ranked.c.name)
    ).all()
    return [(str(name), int(size), float(median)) for name, size, median in rows]


def _days(session: Session) -> ColumnElement[Any]:
    """The days from receipt until the request was over."""
    if session.connection().dialect.name == "postgresql":
        seconds = extract("epoch", _OVER - ForgetRequest.received_at)
        return cast(seconds, Float) / _SECONDS_PER_DAY
    return func.julianday(_OVER) - func.julianday(ForgetRequest.received_at)
