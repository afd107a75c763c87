"""The dashboard at /: the worklist by time left, the runs, and what serves. It only reads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.attempts import queries as attempts
from app.consolidations.schemas import BudgetView
from app.db.clock import database_now
from app.db.models import Version
from app.dependencies import GatewayDependency
from app.forget_requests import queries as forget_requests
from app.forget_requests.schemas import ForgetRequestView
from app.replicas.queries import live_replicas
from app.runs import queries as run_queries
from app.runs.schemas import RunDetail
from app.versions import queries as pointer
from app.versions.parts import of_version

router = APIRouter(include_in_schema=False)

_templates = Jinja2Templates(
    env=Environment(loader=PackageLoader("app", "dashboard/templates"), autoescape=True)
)
_REQUESTS_SHOWN = 100
_RUNS_SHOWN = 25


@router.get("/", response_class=HTMLResponse)
def worklist(
    request: Request,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.RUNS_READ))],
) -> HTMLResponse:
    with gateway.database.read() as session:
        now = database_now(session)
        newest = run_queries.newest(session, limit=_RUNS_SHOWN)
        serving = pointer.current(session)
        live = None if serving.digest is None else session.get(Version, serving.digest)
        context = {
            "now": now,
            "links": gateway.links,
            "counts": forget_requests.counts(session, now),
            "requests": [
                ForgetRequestView.of(row, gateway.links, now)
                for row in forget_requests.by_time_left(session, limit=_REQUESTS_SHOWN)
            ],
            "runs": [
                RunDetail.with_attempts(
                    run,
                    forget_requests.of_run(session, run.id),
                    attempts.of_run(session, run.id),
                    attempts.skipped_of_run(session, run.id),
                    gateway.links,
                )
                for run in newest
            ],
            "budget": BudgetView.read(session, now),
            "pointer": serving,
            "parts": of_version(session, live, gateway.surroundings),
            "replicas": live_replicas(session, now=now, timeout=gateway.replica_timeout),
        }
    response = _templates.TemplateResponse(request, "worklist.html", context)
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'"
    )
    return response
