"""GET /dashboard/versions: the lineage, who serves what, and the budget for attenuation; and the consolidation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.consolidations import service as consolidations
from app.consolidations.schemas import BudgetView
from app.consolidations.service import Requested
from app.dashboard.access import Viewer, form_of, viewer_with
from app.dashboard.pages import PageRoute, go_to, render
from app.db.clock import database_now
from app.db.errors import NothingToConsolidate
from app.db.models import ConsolidationReason, Replica
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.gateway import Gateway
from app.replicas.queries import live_replicas, silent_replicas
from app.versions import queries as versions
from app.versions.parts import of_version
from app.versions.rollback import WHY, obstacle
from app.versions.rollback_endpoint import Digest, find_way_back, go_back
from app.versions.schemas import VersionView

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MayRead = Annotated[Viewer, Depends(viewer_with(Scope.ADAPTERS_READ))]
_SHOWN = 50


@router.get("/dashboard/versions")
def show(request: Request, gateway: GatewayDependency, viewer: MayRead) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        serving = versions.current(session)
        # The row may have been edited. This replica knows the floor in force, and the store's floor.
        floor = max(serving.erasure_floor, gateway.engine.status().erasure_floor)
        shown = [
            VersionView.of(version, serving, floor, gateway.links, [])
            for version in versions.versions(session, limit=_SHOWN)
        ]
        guards = {
            one.digest: obstacle(session, one, floor) for one in versions.versions(session, limit=_SHOWN)
        }
        live = next((one for one in shown if one.live), None)
        row = None if live is None else versions.find(session, live.digest)
        parts = of_version(session, row, gateway.surroundings)
        budget = BudgetView.read(session, now)
        live_ones = live_replicas(session, now=now, timeout=gateway.replica_timeout)
        silent = silent_replicas(session, now=now, timeout=gateway.replica_timeout)
    return render(
        request,
        "versions.html",
        viewer=viewer,
        now=now,
        current="Versions",
        pointer=serving,
        floor=floor,
        versions=shown,
        below_floor=next((one.digest for one in shown if one.forget_epoch < floor), None),
        parts=parts,
        budget=budget,
        replicas=live_ones,
        silent=silent,
        serving=_by_version(live_ones),
        guards={digest: guard and WHY[guard] for digest, guard in guards.items()},
        may_roll_back=viewer.may(Scope.ROLL_BACK) and viewer.token is not None,
        may_consolidate=viewer.may(Scope.CONSOLIDATE) and viewer.token is not None,
    )


@router.post("/dashboard/consolidate")
async def consolidate(
    request: Request,
    gateway: GatewayDependency,
    viewer: Annotated[Viewer, Depends(viewer_with(Scope.CONSOLIDATE))],
    _form: Annotated[dict[str, list[str]], Depends(form_of)],
) -> Response:
    """Queue an exact re-fit, and show its run."""
    try:
        requested = await gateway.write(partial(_request, gateway, viewer.name))
    except NothingToConsolidate as error:
        raise Problem(HTTPStatus.CONFLICT, "nothing-to-consolidate", str(error)) from error
    path = f"runs/{requested.run.id}" if viewer.may(Scope.RUNS_READ) else "versions"
    return go_to(gateway.links.page(path))


@router.post("/dashboard/versions/{digest}/rollback")
async def go_back_to(
    digest: Digest,
    gateway: GatewayDependency,
    viewer: Annotated[Viewer, Depends(viewer_with(Scope.ROLL_BACK))],
    _form: Annotated[dict[str, list[str]], Depends(form_of)],
) -> Response:
    """Let an earlier version serve again, or say which guard refuses it."""

    def work() -> None:
        way = find_way_back(gateway, digest)
        with gateway.transaction() as transaction:
            go_back(transaction, way, actor=viewer.name)

    await gateway.import_(work)
    gateway.engine.poke()
    return go_to(gateway.links.page("versions"))


def _request(gateway: Gateway, requested_by: str) -> Requested:
    with gateway.transaction() as transaction:
        requested = consolidations.request(
            transaction,
            reason=ConsolidationReason.ON_DEMAND,
            requested_by=requested_by,
            patience=timedelta(seconds=gateway.settings.consolidation_patience_seconds),
            now=transaction.now(),
        )
    if requested.created:
        gateway.queue.dispatch(requested.run.id)
    return requested


def _by_version(replicas: Sequence[Replica]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for replica in replicas:
        if replica.live_digest is not None:
            found.setdefault(replica.live_digest, []).append(replica.id)
    return found
