"""Serving inside one gateway process: which version answers, for whom, and when it must not.

A plain library with threads of its own (inference, reconcile, build, report), called from blocking code. The wall:
the only part of `app` that may import `recommender`; imports no web framework.
"""

from app.serving.assembly import build_engine
from app.serving.config import ServingConfig
from app.serving.control import ControlPlane, ControlState, ReplicaReport
from app.serving.engine import ServingEngine
from app.serving.errors import (
    BelowErasureFloor,
    CorruptVersion,
    DeadlineExceeded,
    Draining,
    FingerprintMismatch,
    IncompatibleAdapter,
    InferenceFailed,
    InvalidRequest,
    QueueFull,
    ServingError,
    ServingOverloaded,
    SnapshotRefused,
    VersionDestroyed,
    WrongBase,
    WrongCatalogue,
)
from app.serving.fallback import PopularityFallback
from app.serving.recommendation import FallbackReason, RankedItem, Recommendation
from app.serving.snapshot import Snapshot, build_snapshot
from app.serving.status import EngineStatus

__all__ = [
    "BelowErasureFloor",
    "ControlPlane",
    "ControlState",
    "CorruptVersion",
    "DeadlineExceeded",
    "Draining",
    "EngineStatus",
    "FallbackReason",
    "FingerprintMismatch",
    "IncompatibleAdapter",
    "InferenceFailed",
    "InvalidRequest",
    "PopularityFallback",
    "QueueFull",
    "RankedItem",
    "Recommendation",
    "ReplicaReport",
    "ServingConfig",
    "ServingEngine",
    "ServingError",
    "ServingOverloaded",
    "Snapshot",
    "SnapshotRefused",
    "VersionDestroyed",
    "WrongBase",
    "WrongCatalogue",
    "build_engine",
    "build_snapshot",
]
