"""A serving engine from settings: the only door through which the gateway reaches a model."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence

import torch
import transformers
from prometheus_client import CollectorRegistry

from app.failures import naming
from app.serving.config import ServingConfig
from app.serving.control import ControlPlane
from app.serving.engine import ServingEngine
from app.serving.fallback import PopularityFallback
from app.settings import REPORT_SECONDS, Settings
from model_store import Store
from recommender import Catalogue, RecommenderError, load_base, require_device

# Whoever stops a gateway waits for a few answers, not for a queue of them.
_DRAIN_SECONDS = 2.0


def build_engine(
    settings: Settings, store: Store, control: ControlPlane, registry: CollectorRegistry
) -> ServingEngine:
    """An engine that is not started yet, with a fallback in catalogue order until a popularity list replaces it.

    Raises:
        recommender.RecommenderError: the base model is missing or unusable, or there is no such device.
    """
    torch.set_num_threads(settings.torch_threads)
    transformers.utils.logging.disable_progress_bar()
    with naming("LETHE_DEVICE", RecommenderError):
        require_device(settings.device)
    with naming("LETHE_BASE", RecommenderError):
        base = load_base(settings.base, device=settings.device)
    config = ServingConfig(
        replica_id=_replica_id(),
        poll_interval_seconds=settings.feed_poll_seconds,
        lease_seconds=settings.feed_lease_seconds,
        report_interval_seconds=REPORT_SECONDS,
        drain_seconds=_DRAIN_SECONDS,
    )
    return ServingEngine(
        config, base, store, control, popularity_fallback(base.catalogue, ()), registry=registry
    )


def popularity_fallback(catalogue: Catalogue, item_ids: Sequence[str]) -> PopularityFallback:
    """The fallback for a list of item ids, most popular first; ids the catalogue lacks are left out."""
    # An item may be stored in two spellings, by releases that kept what they were given.
    found = dict.fromkeys(catalogue.index(item) for item in item_ids)
    return PopularityFallback(catalogue, [index for index in found if index is not None])


def _replica_id() -> str:
    # A restarted process is another replica: what it had acknowledged before says nothing about it now.
    return f"{socket.gethostname()[:32]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
