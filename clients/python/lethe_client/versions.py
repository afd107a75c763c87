"""What serves: versions, replicas, and the budget for attenuation."""

from __future__ import annotations

from datetime import datetime

from lethe_client.models import Model, Part


class Version(Model):
    """A version of the adapter."""

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


class Replica(Model):
    """What one gateway reports of itself."""

    id: str
    last_seen_at: datetime
    generation: int
    version: str | None
    ready: str | None
    epoch: int
    resident_versions: list[str]
    error: str | None


class BudgetItem(Model):
    """One item of the budget for attenuation."""

    name: str
    spent: float
    limit: float | None
    left: float | None


class Budget(Model):
    """What has been spent since the last exact fit."""

    last_exact_fit: datetime | None
    items: list[BudgetItem]


class Adapters(Model):
    """The serving pointer, the versions (the newest first) and the replicas."""

    generation: int
    live: str | None
    previous: str | None
    candidate: str | None
    erasure_floor: int
    consolidation: Budget
    versions: list[Version]
    replicas: list[Replica]


class Rollback(Model):
    """What serves from now on, and what has served until now."""

    live: str
    left: str | None
    generation: int
