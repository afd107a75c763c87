"""The status of an engine, for its own process."""

from __future__ import annotations

from dataclasses import dataclass

from app.serving.control import ReplicaReport


@dataclass(frozen=True)
class EngineStatus:
    """The state of this replica.

    ``ready``: its answers are up to date, and personalised unless the last version was withdrawn.
    """

    ready: bool
    draining: bool
    generation: int
    live_digest: str | None
    erasure_floor: int
    epoch: int
    feed_age_seconds: float
    queue_depth: int
    resident_versions: tuple[str, ...]
    report: ReplicaReport | None
