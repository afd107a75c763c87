"""GET /dashboard/runs and /dashboard/runs/ID: what the workers do and did."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.api_keys.service import Scope
from app.attempts import queries as attempts
from app.dashboard.access import Viewer, viewer_with
from app.dashboard.measures import of_attempt
from app.dashboard.pages import PageRoute, render
from app.dashboard.working import log_lines, memory, searching, trainings
from app.db.clock import database_now
from app.db.models import RequestStatus, RunStatus
from app.dependencies import GatewayDependency
from app.errors import not_found
from app.forget_requests import queries as forget_requests
from app.forget_requests.schemas import ForgetRequestView
from app.runs import notes
from app.runs import queries as runs
from app.runs.progress import progress_of
from app.runs.schemas import RunDetail, RunView
from app.runs.standing import standing

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MayRead = Annotated[Viewer, Depends(viewer_with(Scope.RUNS_READ))]
_SHOWN = 50


@router.get("/dashboard/runs")
def listed(
    request: Request,
    gateway: GatewayDependency,
    viewer: MayRead,
    after: Annotated[str | None, Query(pattern=r"^ur_[0-9a-f]{32}$")] = None,
) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        rows = runs.newest(session, limit=_SHOWN + 1, before=after)
        served = forget_requests.counts_of_runs(session, [run.id for run in rows])
        stands = standing(session, now, patience=timedelta(seconds=gateway.settings.redispatch_seconds))
        progress = {run.id: progress_of(session, run, now) for run in rows}
    return render(
        request,
        "runs.html",
        viewer=viewer,
        now=now,
        current="Runs",
        runs=[(RunView.of(run), served.get(run.id, 0), progress[run.id]) for run in rows[:_SHOWN]],
        more=rows[_SHOWN - 1].id if len(rows) > _SHOWN else None,
        standing=stands,
        first=after is None,
    )


@router.get("/dashboard/runs/{run_id}")
def show(
    request: Request,
    run_id: Annotated[str, Path(pattern=r"^ur_[0-9a-f]{32}$")],
    gateway: GatewayDependency,
    viewer: MayRead,
) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        run = runs.find(session, run_id)
        if run is None:
            raise not_found("run")
        served = forget_requests.of_run(session, run_id)
        measured, said = notes.figures(session, run_id), notes.lines(session, run_id)
        detail = RunDetail.with_attempts(
            run,
            served,
            attempts.of_run(session, run_id),
            attempts.skipped_of_run(session, run_id),
            gateway.links,
        )
        progress = progress_of(session, run, now)
    return render(
        request,
        "run.html",
        viewer=viewer,
        now=now,
        current="Runs",
        run=detail,
        progress=progress,
        lease_until=run.lease_until,
        requests=[ForgetRequestView.of(one, gateway.links, now, gateway.request_policy) for one in served],
        attempts=[of_attempt(attempt, run_id) for attempt in detail.attempts],
        stuck=[one for one in served if one.status == RequestStatus.NEEDS_ATTENTION],
        may_act=viewer.token is not None,
        trainings=trainings(measured),
        searching=searching(measured, since=max((one.finished_at for one in detail.attempts), default=None))
        if run.status == RunStatus.RUNNING
        else None,
        memory=memory(measured),
        log_lines=log_lines(said),
    )
