"""The model of all peers: the ranker that the gateway serves, with batches of the same size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from app.serving.ranker import RankingRequest
from app.serving.transformers_ranker import TransformersLoader
from model_store import open_store
from recommender import load_base

# Set by the benchmark.
MOST = int(os.environ.get("PEER_BATCH", "8"))


class Model:
    """Ranks for a batch of bodies."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        base = load_base(Path(os.environ["PEER_BASE"]))
        store = open_store(os.environ["PEER_STORE"])
        self._ranker = TransformersLoader(base, store).load(os.environ["PEER_VERSION"], 0)

    def answer(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        requests = [RankingRequest(tuple(body["history"]), body["k"]) for body in bodies]
        return [
            {"items": [{"item_id": one.item_id, "title": one.title, "score": one.score} for one in items]}
            for items in self._ranker.rank(requests)
        ]
