"""GET /runs: the runs of the workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.attempts import queries as attempts
from app.dependencies import GatewayDependency
from app.errors import not_found
from app.forget_requests import queries as forget_requests
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.runs import queries as run_queries
from app.runs.schemas import RunDetail, RunView

router = APIRouter(tags=["runs"], route_class=JsonRoute)

MayRead = Annotated[Caller, Depends(require(Scope.RUNS_READ))]


@router.get("/runs", responses=problems())
def list_runs(
    gateway: GatewayDependency, _caller: MayRead, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> dict[str, list[RunView]]:
    """List runs, the newest first."""
    with gateway.database.read() as session:
        return {"runs": [RunView.of(run) for run in run_queries.newest(session, limit=limit)]}


@router.get("/runs/{run_id:path}", responses=problems(404))
def read_run(
    run_id: Annotated[str, Path(pattern=r"^ur_[0-9a-f]{32}$")], gateway: GatewayDependency, _caller: MayRead
) -> RunDetail:
    """Read one run with every attempt, its measures and verdicts, and the skipped rungs."""
    with gateway.database.read() as session:
        run = run_queries.find(session, run_id)
        if run is None:
            raise not_found("run")
        return RunDetail.with_attempts(
            run,
            forget_requests.of_run(session, run_id),
            attempts.of_run(session, run_id),
            attempts.skipped_of_run(session, run_id),
            gateway.links,
        )
