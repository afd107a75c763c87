"""GET /adapters: what serves, what served, and what every replica says it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.consolidations.schemas import BudgetView
from app.db.clock import database_now
from app.db.models import Replica, ServingPointer, Version
from app.dependencies import GatewayDependency
from app.links import Links
from app.problem_schema import problems
from app.replicas.service import live_replicas
from app.versions import service as pointer

router = APIRouter(tags=["adapters"])

_SHOWN = 100


class VersionView(BaseModel):
    digest: str
    parent: str | None
    forget_epoch: int
    method: str
    exact: bool
    subjects: int
    utility_change: float | None
    job: str | None
    published_at: datetime
    destroyed_at: datetime | None
    live: bool
    eligible: bool

    @classmethod
    def of(cls, version: Version, pointer: ServingPointer, floor: int, links: Links) -> VersionView:
        return cls(
            digest=version.digest,
            parent=version.parent_digest,
            forget_epoch=version.forget_epoch,
            method=version.method,
            exact=version.exact,
            subjects=version.subjects,
            utility_change=version.utility_change,
            job=links.job(version.run_id) if version.run_id else None,
            published_at=version.published_at,
            destroyed_at=version.destroyed_at,
            live=version.digest == pointer.digest,
            eligible=version.forget_epoch >= floor and version.destroyed_at is None,
        )


class ReplicaView(BaseModel):
    id: str
    last_seen_at: datetime
    generation: int
    version: str | None
    ready: str | None
    epoch: int
    resident_versions: list[str]
    error: str | None

    @classmethod
    def of(cls, replica: Replica) -> ReplicaView:
        return cls(
            id=replica.id,
            last_seen_at=replica.last_seen_at,
            generation=replica.generation,
            version=replica.live_digest,
            ready=replica.ready_digest,
            epoch=replica.epoch,
            resident_versions=replica.resident_versions,
            error=replica.error,
        )


class AdaptersView(BaseModel):
    generation: int
    live: str | None
    previous: str | None
    candidate: str | None
    erasure_floor: int
    consolidation: BudgetView
    versions: list[VersionView]
    replicas: list[ReplicaView]


@router.get("/adapters", responses=problems())
def list_adapters(
    gateway: GatewayDependency, _caller: Annotated[Caller, Depends(require(Scope.ADAPTERS_READ))]
) -> AdaptersView:
    """The serving pointer, what attenuation may still add up, the versions (the newest first) and the replicas."""
    with gateway.database.read() as session:
        serving, now = pointer.current(session), database_now(session)
        # The row may have been edited; this replica knows what was in force, and what the store vouches for.
        floor = max(serving.erasure_floor, gateway.engine.status().erasure_floor)
        return AdaptersView(
            generation=serving.generation,
            live=serving.digest,
            previous=serving.previous_digest,
            candidate=serving.candidate_digest,
            erasure_floor=floor,
            consolidation=BudgetView.read(session, now),
            versions=[
                VersionView.of(version, serving, floor, gateway.links)
                for version in pointer.versions(session, limit=_SHOWN)
            ],
            replicas=[
                ReplicaView.of(replica)
                for replica in live_replicas(session, now=now, timeout=gateway.replica_timeout)
            ],
        )
