"""Versions and replicas as the API shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from app.consolidations.schemas import BudgetView
from app.db.models import Replica, ServingPointer, Version
from app.links import Links
from app.versions.parts import Part


class VersionView(BaseModel):
    digest: str
    parent: str | None
    forget_epoch: int
    method: str
    exact: bool
    subjects: int
    utility_change: float | None
    run: str | None
    published_at: datetime
    destroyed_at: datetime | None
    live: bool
    eligible: bool
    parts: list[Part]

    @classmethod
    def of(
        cls,
        version: Version,
        pointer: ServingPointer,
        floor: int,
        links: Links,
        parts: list[Part],
    ) -> VersionView:
        return cls(
            digest=version.digest,
            parent=version.parent_digest,
            forget_epoch=version.forget_epoch,
            method=version.method,
            exact=version.exact,
            subjects=version.subjects,
            utility_change=version.utility_change,
            run=links.run(version.run_id) if version.run_id else None,
            published_at=version.published_at,
            destroyed_at=version.destroyed_at,
            live=version.digest == pointer.digest,
            eligible=version.forget_epoch >= floor and version.destroyed_at is None,
            parts=parts,
        )


class RollbackView(BaseModel):
    """``live`` serves from now on, ``left`` has served until now."""

    live: str
    left: str | None
    generation: int


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
