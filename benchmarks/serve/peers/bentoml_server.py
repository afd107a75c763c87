"""BentoML with adaptive batching: it learns how long batches take, and refuses what would exceed the longest latency.

Run as ``bentoml serve``, which imports this module and starts a process for the model.
"""

# No postponed annotations: BentoML reads the types of its endpoint as objects.

import os
from typing import Any

import bentoml

from benchmarks.serve.peers.model import MOST, Model

_LATENCY_MILLISECONDS = int(1e3 * float(os.environ.get("PEER_WINDOW", "1")))


@bentoml.service(
    workers=1,
    traffic={"timeout": 120},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Ranking:
    def __init__(self) -> None:
        self._model = Model()

    @bentoml.api(batchable=True, max_batch_size=MOST, max_latency_ms=_LATENCY_MILLISECONDS)
    def predict(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._model.answer(bodies)
