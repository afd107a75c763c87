"""Builds a serving engine from the settings. It chooses what computes the rankings; no other module imports that."""

from __future__ import annotations

import os
import socket
import uuid

from prometheus_client import CollectorRegistry

from app.loading import loading
from app.serving.config import ServingConfig
from app.serving.control import ControlPlane
from app.serving.engine import ServingEngine
from app.serving.fallback import popularity_fallback
from app.serving.ranker import RankerLoader
from app.settings import REPORT_SECONDS, Settings
from model_store import Store

# A gateway that stops waits for answers under way, not for a long queue.
_DRAIN_SECONDS = 2.0


def build_engine(
    settings: Settings, store: Store, control: ControlPlane, registry: CollectorRegistry
) -> ServingEngine:
    """An engine that is not started. Its fallback is in catalogue order until a popularity list replaces it.

    Raises:
        recommender.RecommenderError: the base is missing or unusable, the device does not exist, or vLLM cannot serve
            the base's style.
        SettingError: the folder for vLLM's adapters cannot be made.
    """
    config = ServingConfig(
        replica_id=_replica_id(),
        poll_interval_seconds=settings.feed_poll_seconds,
        lease_seconds=settings.feed_lease_seconds,
        report_interval_seconds=REPORT_SECONDS,
        token_budget=settings.batch_tokens,
        cache_entries=settings.cached_answers,
        drain_seconds=_DRAIN_SECONDS,
    )
    loader = _loader(settings, store, config)
    fallback = popularity_fallback(loader.catalogue, ())
    return ServingEngine(config, loader, store, control, fallback, registry=registry)


def _loader(settings: Settings, store: Store, config: ServingConfig) -> RankerLoader:
    if settings.engine == "vllm":
        with loading():
            from app.serving import vllm_ranker

        return vllm_ranker.open_loader(settings, store)
    with loading():
        from app.serving import transformers_ranker

    return transformers_ranker.open_loader(settings, store, token_budget=config.token_budget)


def _replica_id() -> str:
    # A restarted process is a new replica: acknowledgements from before the restart no longer hold.
    return f"{socket.gethostname()[:32]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
