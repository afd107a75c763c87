"""Serving inside one gateway process: which version answers, for whom, and when it must not.

This is a plain library with threads of its own (inference, reconcile, build, report), called from blocking code. It
imports no web framework. Only `transformers_ranker`, `vllm_ranker` and what
both read versions with import `recommender`, and only `assembly` imports those two.
"""

from app.serving.config import ServingConfig
from app.serving.control import ControlPlane, ControlState, ReplicaReport
from app.serving.engine import ServingEngine
from app.serving.errors import (
    BelowErasureFloor,
    CorruptVersion,
    DeadlineExceeded,
    Draining,
    EngineUnavailable,
    EngineUntrusted,
    FingerprintMismatch,
    IncompatibleAdapter,
    InferenceFailed,
    InvalidRequest,
    QueueFull,
    ServingError,
    ServingOverloaded,
    VersionDestroyed,
    VersionLost,
    VersionRefused,
    WrongBase,
    WrongCatalogue,
)
from app.serving.fallback import PopularityFallback
from app.serving.ranker import Ranker, RankerLoader, RankingRequest
from app.serving.recommendation import FallbackReason, RankedItem, Recommendation
from app.serving.status import EngineStatus

__all__ = [
    "BelowErasureFloor",
    "ControlPlane",
    "ControlState",
    "CorruptVersion",
    "DeadlineExceeded",
    "Draining",
    "EngineStatus",
    "EngineUnavailable",
    "EngineUntrusted",
    "FallbackReason",
    "FingerprintMismatch",
    "IncompatibleAdapter",
    "InferenceFailed",
    "InvalidRequest",
    "PopularityFallback",
    "QueueFull",
    "RankedItem",
    "Ranker",
    "RankerLoader",
    "RankingRequest",
    "Recommendation",
    "ReplicaReport",
    "ServingConfig",
    "ServingEngine",
    "ServingError",
    "ServingOverloaded",
    "VersionDestroyed",
    "VersionLost",
    "VersionRefused",
    "WrongBase",
    "WrongCatalogue",
]
