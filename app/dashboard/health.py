"""GET /dashboard/health: how much is done, how long it takes, and what the gate lets through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.dashboard.access import Viewer, viewer_with
from app.dashboard.charts import Line, bars, line, place
from app.dashboard.pages import PageRoute, render
from app.db.clock import database_now
from app.db.models import RunKind, Version
from app.dependencies import GatewayDependency
from app.latencies.history import BOUNDS, Hour, Timed, by_hour, hour_of
from app.replicas.queries import live_replicas
from app.runs import history
from app.runs.standing import standing
from app.versions import queries as versions

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_DAYS = 30
_HOURS = 7 * 24
# What took longer than the last step of the scale is drawn above it.
_BEYOND_SECONDS = 20.0


@dataclass(frozen=True)
class Latency:
    """The last days of one latency: lines of median and 95th percentile on one logarithmic scale, in seconds."""

    what: str
    about: str
    count: int
    latest: Hour | None
    median: Line | None
    p95: Line | None


@dataclass(frozen=True)
class Mark:
    """A deployment on a chart: how far from the left, and what became live."""

    x: float
    version: str
    at: datetime


_ABOUT = {
    Timed.SUPPRESSION: "from the acceptance of a request until a replica has read that it must fall back",
    Timed.RECOMMENDATION: "GET /recommend, from the first byte in to the last byte out",
}


@router.get("/dashboard/health")
def show(
    request: Request,
    gateway: GatewayDependency,
    viewer: Annotated[Viewer, Depends(viewer_with(Scope.METRICS_READ))],
) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        days = history.by_day(session, now, days=_DAYS)
        latencies = [_latency(what, by_hour(session, what, now, hours=_HOURS)) for what in Timed]
        deployed = versions.published_since(session, now - timedelta(days=_DAYS))
        context: dict[str, Any] = {
            "oldest": history.oldest_waiting(session),
            "unfinished": history.unfinished(session),
            "request_seconds": history.request_seconds(session),
            "runs": [(kind, history.run_seconds(session, kind)) for kind in RunKind],
            "rungs": history.rungs(session, since=now - timedelta(days=_DAYS)),
            "standing": standing(
                session, now, patience=timedelta(seconds=gateway.settings.redispatch_seconds)
            ),
            "replicas": live_replicas(session, now=now, timeout=gateway.replica_timeout),
        }
    status = gateway.engine.status()
    most = float(max(max(day.completed, day.received) for day in days))
    return render(
        request,
        "health.html",
        viewer=viewer,
        now=now,
        current="Health",
        days=days,
        most=int(most),
        completed=bars([(day.day.isoformat(), float(day.completed)) for day in days], most=most),
        received=bars([(day.day.isoformat(), float(day.received)) for day in days], most=most),
        ready=status.ready,
        latencies=latencies,
        latency_hours=_HOURS,
        scale=(BOUNDS[0], _BEYOND_SECONDS),
        deployed_by_day=_marks(deployed, now.date() - timedelta(days=_DAYS - 1), _DAYS * 24),
        deployed_by_hour=_marks(deployed, hour_of(now) - timedelta(hours=_HOURS - 1), _HOURS),
        **context,
    )


def _latency(what: Timed, hours: Sequence[Hour]) -> Latency:
    def drawn(figures: Iterable[float | None]) -> Line | None:
        points = [
            (float(number), None if figure is None else min(figure, _BEYOND_SECONDS))
            for number, figure in enumerate(figures)
        ]
        return line(
            points, across=(0.0, float(len(hours))), range_=(BOUNDS[0], _BEYOND_SECONDS), logarithmic=True
        )

    return Latency(
        what=what,
        about=_ABOUT[what],
        count=sum(hour.count for hour in hours),
        latest=next((hour for hour in reversed(hours) if hour.count), None),
        median=drawn(hour.median for hour in hours),
        p95=drawn(hour.p95 for hour in hours),
    )


def _marks(deployed: Sequence[Version], first: date | datetime, hours: int) -> list[Mark]:
    """Where versions became live, on a chart that begins at this hour or day."""
    begin = first if isinstance(first, datetime) else datetime(first.year, first.month, first.day, tzinfo=UTC)
    return [
        Mark(
            place((one.published_at - begin) / timedelta(hours=1), (0.0, float(hours))),
            one.digest,
            one.published_at,
        )
        for one in deployed
        if one.published_at >= begin
    ]
