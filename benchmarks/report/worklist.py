"""The table of `lethe bench worklist`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import number, table

_SPREAD = ("p50", "p95", "max")


def worklist(result: Mapping[str, Any]) -> list[str]:
    """How long each thing took, in milliseconds."""
    return [
        (
            f"{result['requests']} open requests on PostgreSQL, seed {result['seed']}; each measured "
            f"{result['times']} times, in milliseconds."
        ),
        "",
        *table(
            ["", *_SPREAD],
            [
                [name, *(number(seconds[share] * 1000, 1) for share in _SPREAD)]
                for name, seconds in result["seconds"].items()
            ],
        ),
    ]
