"""The physical limit: the ranker that serves, called in a loop with full batches, in a process of its own.

Run as ``python -m benchmarks.serve.raw_forward``: it reads what to do as JSON from standard input and writes JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from app.serving.ranker import RankingRequest
from app.serving.transformers_ranker import TransformersLoader, TransformersRanker
from model_store import open_store
from recommender import Scorer, load_base

_K = 10


def measure(
    base_folder: Path, store: str, versions: list[str], histories: list[list[int]], seconds: float, core: int
) -> dict[str, Any]:
    """Seconds of a batch by its size, the rankings of both versions, and what bfloat16 would give.

    A batch takes the median over ``seconds`` of calls.
    """
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    base = load_base(base_folder)
    rankers = [TransformersLoader(base, open_store(store)).load(digest, 0) for digest in versions]
    requests = [RankingRequest(tuple(history), _K) for history in histories]
    ranked = [[item.item_id for item in items] for items in _in_batches(rankers[0], requests)]
    result = {
        "batches": _batches(rankers[0], requests, seconds),
        "rankings": {
            versions[0]: ranked,
            versions[1]: [[item.item_id for item in items] for items in _in_batches(rankers[1], requests)],
        },
        "parameters": sum(tensor.numel() for tensor in base.model.parameters()),
    }
    # The model's last use in float32 is over: convert it, with its adapters, and look again.
    style = base.style
    model = rankers[0].scorer._model.to(torch.bfloat16)  # noqa: SLF001  # the same model in another precision
    halved = TransformersRanker(versions[0], 0, base.catalogue, Scorer(model, style))
    other = [[item.item_id for item in items] for items in _in_batches(halved, requests)]
    result["bfloat16"] = {
        "batches": _batches(halved, requests, seconds),
        "same_ranking": sum(a == b for a, b in zip(ranked, other, strict=True)) / len(ranked),
        "same_items": sum(len(set(a) & set(b)) for a, b in zip(ranked, other, strict=True))
        / (_K * len(ranked)),
    }
    return result


def _in_batches(ranker: TransformersRanker, requests: list[RankingRequest]) -> list[Any]:
    return [
        items for start in range(0, len(requests), 8) for items in ranker.rank(requests[start : start + 8])
    ]


def _batches(ranker: TransformersRanker, requests: list[RankingRequest], seconds: float) -> dict[int, float]:
    found = {}
    for size in (1, 2, 4, 8, 16, 32):
        batch = requests[:size]
        taken: list[float] = []
        until = time.perf_counter() + seconds
        while len(taken) < 3 or time.perf_counter() < until:
            started = time.perf_counter()
            ranker.rank(batch)
            taken.append(time.perf_counter() - started)
        found[size] = sorted(taken)[len(taken) // 2]
    return found


def main() -> None:
    asked = json.load(sys.stdin)
    json.dump(measure(**asked | {"base_folder": Path(asked["base_folder"])}), sys.stdout)


if __name__ == "__main__":
    main()
