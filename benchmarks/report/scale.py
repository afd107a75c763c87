"""The table of `lethe bench scale`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import number, table


def scale(result: Mapping[str, Any]) -> list[str]:
    """Seconds of each stage by the number of retained users, and the ratio to the smallest service."""
    rows = result["rows"]
    stages = list(rows[0]["seconds"])
    first = rows[0]["request_seconds"]
    head = (
        f"Generated users, {result['data']['items']} items; medians of {result['repeats']} requests of one user each. "
        f"The gate reads at most {result['max_retained']} retained users. *Request*: reading the parent, then every "
        "rung but the exact one, each with its measuring."
    )
    return [
        head,
        "",
        *table(
            ("retained users", *stages, "request", "of the smallest service's", "an epoch of a re-fit"),
            [
                [
                    str(row["users"]),
                    *(number(row["seconds"][stage], 2) for stage in stages),
                    number(row["request_seconds"], 2),
                    number(row["request_seconds"] / first, 2),
                    number(row["epoch_seconds"], 1),
                ]
                for row in rows
            ],
        ),
    ]
