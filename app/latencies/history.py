"""Latencies by the hour, as counts of steps of a scale: what replicas add up survives their restarts.

Counts of several replicas and hours add up too, which percentiles do not. So a percentile is told by the upper end of
its step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.models import LatencyHour

# Upper ends of the steps, in seconds, as the metrics have them; the last step has none.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)
_KEPT = timedelta(days=35)


class Timed(StrEnum):
    """What is timed."""

    RECOMMENDATION = "recommendation"  # from the first byte of GET /recommend in to the last byte out
    SUPPRESSION = (
        "suppression"  # from the acceptance of a request until a replica has read that it must fall back
    )


@dataclass(frozen=True)
class Hour:
    """One hour of all replicas: how many were timed, and the upper ends of the steps of median and 95th percentile.

    None where nothing was timed; infinity beyond the last step.
    """

    hour: datetime
    count: int
    median: float | None
    p95: float | None


def add(session: Session, replica_id: str, what: Timed, counts: Sequence[int], now: datetime) -> None:
    """Add counts, one for each step, to the present hour of a replica. Only the replica itself writes its rows."""
    hour = hour_of(now)
    row = session.get(LatencyHour, (hour, replica_id, what))
    if row is None:
        session.add(LatencyHour(hour=hour, replica_id=replica_id, what=what, counts=list(counts)))
    else:
        row.counts = [one + more for one, more in zip(row.counts, counts, strict=True)]


def by_hour(session: Session, what: Timed, now: datetime, *, hours: int) -> list[Hour]:
    """The last hours, the present one last."""
    first = hour_of(now) - timedelta(hours=hours - 1)
    rows = session.scalars(
        select(LatencyHour).where(LatencyHour.what == what, LatencyHour.hour >= first)
    ).all()
    found: dict[datetime, list[int]] = {}
    for row in rows:
        so_far = found.get(row.hour, [0] * len(BOUNDS))
        found[row.hour] = [one + more for one, more in zip(so_far, row.counts, strict=True)]
    listed = [first + timedelta(hours=number) for number in range(hours)]
    return [
        Hour(hour, sum(counts), percentile(counts, 0.5), percentile(counts, 0.95))
        for hour in listed
        for counts in [found.get(hour, [])]
    ]


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The upper end of the step in which the nearest rank lies; None if nothing was counted."""
    rank, so_far = math.ceil(share * sum(counts)), 0
    if rank == 0:
        return None
    for bound, count in zip(BOUNDS, counts, strict=True):
        so_far += count
        if so_far >= rank:
            return bound
    return None


def first_known(session: Session) -> datetime | None:
    """The first hour of which anything is known."""
    return session.scalar(select(func.min(LatencyHour.hour)))


def drop_old(session: Session, now: datetime) -> None:
    """Delete hours that have been kept long enough."""
    session.execute(
        delete(LatencyHour).where(LatencyHour.hour < now - _KEPT).execution_options(synchronize_session=False)
    )


def hour_of(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
