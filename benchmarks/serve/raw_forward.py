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

from benchmarks.serve.loaded import Loaded, load
from recommender import load_base

_K, _AT_ONCE = 10, 8


def measure(
    base_folder: Path, store: str, versions: list[str], histories: list[list[int]], seconds: float, core: int
) -> dict[str, Any]:
    """Seconds of a batch by its size, the rankings of both versions, and what bfloat16 would give.

    A batch takes the median over ``seconds`` of calls.
    """
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    base = load_base(base_folder)
    first, second = (load(base, store, digest) for digest in versions)
    ranked = _rankings(first, histories)
    result = {
        "batches": _batches(first, histories, seconds),
        "rankings": {versions[0]: ranked, versions[1]: _rankings(second, histories)},
        "parameters": sum(tensor.numel() for tensor in base.model.parameters()),
    }
    # The last use in float32 is over: all versions share the base's tensors.
    first.scorer._model.to(torch.bfloat16)  # noqa: SLF001  # the same model in another precision
    other = _rankings(first, histories)
    result["bfloat16"] = {
        "batches": _batches(first, histories, seconds),
        "same_ranking": sum(a == b for a, b in zip(ranked, other, strict=True)) / len(ranked),
        "same_items": sum(len(set(a) & set(b)) for a, b in zip(ranked, other, strict=True))
        / (_K * len(ranked)),
    }
    return result


def _rankings(loaded: Loaded, histories: list[list[int]]) -> list[list[str]]:
    found = []
    for start in range(0, len(histories), _AT_ONCE):
        batch = histories[start : start + _AT_ONCE]
        found += [[item_id for item_id, _, _ in items] for items in loaded.rank(batch, [_K] * len(batch))]
    return found


def _batches(loaded: Loaded, histories: list[list[int]], seconds: float) -> dict[int, float]:
    found = {}
    for size in (1, 2, 4, 8, 16, 32):
        taken: list[float] = []
        until = time.perf_counter() + seconds
        while len(taken) < 3 or time.perf_counter() < until:
            started = time.perf_counter()
            loaded.rank(histories[:size], [_K] * size)
            taken.append(time.perf_counter() - started)
        found[size] = sorted(taken)[len(taken) // 2]
    return found


def main() -> None:
    asked = json.load(sys.stdin)
    json.dump(measure(**asked | {"base_folder": Path(asked["base_folder"])}), sys.stdout)


if __name__ == "__main__":
    main()
