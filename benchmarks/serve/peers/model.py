"""The model of all peers: the version that the gateway serves, with batches of the same size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from benchmarks.serve.loaded import load
from recommender import load_base

# Set by the benchmark.
MOST = int(os.environ.get("PEER_BATCH", "8"))


class Model:
    """Ranks for a batch of bodies."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        base = load_base(Path(os.environ["PEER_BASE"]))
        self._loaded = load(base, os.environ["PEER_STORE"], os.environ["PEER_VERSION"])

    def answer(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ranked = self._loaded.rank([body["history"] for body in bodies], [body["k"] for body in bodies])
        return [
            {"items": [{"item_id": item, "title": title, "score": score} for item, title, score in items]}
            for items in ranked
        ]
