"""GET /healthz, /readyz and /metrics."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.dependencies import GatewayDependency
from app.gateway import Gateway
from app.json_bodies import JsonRoute
from app.problem_schema import problems

router = APIRouter(tags=["health"], route_class=JsonRoute)

# Probes come all the time. If a check hangs, waiting probes must not take up the server's threads.
_PROBE_SECONDS = 2.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Liveness: 200 as long as this process answers. It needs no thread, so slow requests do not make it fail."""
    return {"status": "ok"}


@router.get(
    "/readyz", responses={503: {"model": dict[str, bool], "description": "Not ready; the failing checks"}}
)
async def readyz(gateway: GatewayDependency, response: Response) -> dict[str, bool]:
    """Readiness: whether this replica should get traffic. 200 if every check holds, otherwise 503 with all checks."""
    checks = await gateway.probe(partial(_checks, gateway))
    if not all(checks.values()):
        response.status_code = 503
    return checks


def _checks(gateway: Gateway) -> dict[str, bool]:
    return {
        "database": gateway.database_answers.answer(_PROBE_SECONDS),
        "database_writes": gateway.database_writes.answer(_PROBE_SECONDS),
        "store": gateway.store_answers.answer(_PROBE_SECONDS),
        "serving": gateway.engine.status().ready,
    }


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=problems()
    | {
        200: {
            "description": "Prometheus text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
def metrics(
    gateway: GatewayDependency, _caller: Annotated[Caller, Depends(require(Scope.METRICS_READ))]
) -> Response:
    """Metrics in the Prometheus text format."""
    return Response(generate_latest(gateway.registry), media_type=CONTENT_TYPE_LATEST)
