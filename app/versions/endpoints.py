"""GET /adapters: the version that serves, earlier versions, and the report of every replica."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.consolidations.schemas import BudgetView
from app.db.clock import database_now
from app.dependencies import GatewayDependency
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.replicas.queries import live_replicas
from app.versions import queries as pointer
from app.versions.parts import of_version
from app.versions.schemas import AdaptersView, ReplicaView, VersionView

router = APIRouter(tags=["adapters"], route_class=JsonRoute)

_SHOWN = 100


@router.get("/adapters", responses=problems())
def list_adapters(
    gateway: GatewayDependency, _caller: Annotated[Caller, Depends(require(Scope.ADAPTERS_READ))]
) -> AdaptersView:
    """Read the serving pointer, the budget for attenuation, the versions (the newest first) and the replicas."""
    with gateway.database.read() as session:
        serving, now = pointer.current(session), database_now(session)
        # The row may have been edited. This replica knows the floor in force, and the store's floor.
        floor = max(serving.erasure_floor, gateway.engine.status().erasure_floor)
        return AdaptersView(
            generation=serving.generation,
            live=serving.digest,
            previous=serving.previous_digest,
            candidate=serving.candidate_digest,
            erasure_floor=floor,
            consolidation=BudgetView.read(session, now),
            versions=[
                VersionView.of(
                    version,
                    serving,
                    floor,
                    gateway.links,
                    of_version(session, version, gateway.surroundings),
                )
                for version in pointer.versions(session, limit=_SHOWN)
            ],
            replicas=[
                ReplicaView.of(replica)
                for replica in live_replicas(session, now=now, timeout=gateway.replica_timeout)
            ],
        )
