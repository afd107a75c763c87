"""GET /dashboard/health: how much is done, how long it takes, and what the gate lets through."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.dashboard.access import Viewer, viewer_with
from app.dashboard.charts import bars
from app.dashboard.pages import PageRoute, render
from app.db.clock import database_now
from app.db.models import RunKind
from app.dependencies import GatewayDependency
from app.replicas.queries import live_replicas
from app.runs import history
from app.runs.standing import standing

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_DAYS = 30


@router.get("/dashboard/health")
def show(
    request: Request,
    gateway: GatewayDependency,
    viewer: Annotated[Viewer, Depends(viewer_with(Scope.METRICS_READ))],
) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        days = history.by_day(session, now, days=_DAYS)
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
        **context,
    )
