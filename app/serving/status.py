"""What an engine says about itself to its own process."""

from __future__ import annotations

from dataclasses import dataclass

from app.serving.control import ReplicaReport


@dataclass(frozen=True)
class EngineStatus:
    """How this replica is doing; ``ready`` means: what it answers is personalised and up to date."""

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
