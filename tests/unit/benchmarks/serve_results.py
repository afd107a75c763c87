"""Results of `lethe bench serve` as its tables take them. The figures are made up: the tests are of the tables."""

from __future__ import annotations

from typing import Any

LOAD = {"p50": 0.002, "p95": 0.003, "p99": 0.004, "max": 0.005}
RATES: dict[str, Any] = {
    "per_second": 90.0,
    "processor_ms": 1.0,
    "not_200": 0,
    "idle": LOAD,
    "full": LOAD,
    "loaded": LOAD,
}
SIZE: dict[str, Any] = {
    "size": "tiny",
    "parameters": 2_000_000,
    "events": 64,
    "gateway": RATES,
    "raw": {
        "batches": {"1": 0.001, "8": 0.08},
        "best": 8,
        "per_second": 100.0,
        "bfloat16": {"per_second": 200.0, "same_ranking": 0.5, "same_items": 0.9},
    },
}
RESULT: dict[str, Any] = {"pinned": {"server": 0, "client": 1}, "seconds": 10.0}


def swaps(count: int, memory: dict[str, Any]) -> dict[str, Any]:
    none = dict.fromkeys(("failed", "fallbacks", "torn", "mislabelled", "old_from_cache"), 0)
    return none | {
        "swaps": count,
        "answers": 9,
        "latency": LOAD,
        "last_old_seconds": LOAD,
        "memory": memory,
    }
