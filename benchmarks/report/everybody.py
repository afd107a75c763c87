"""The tables of `lethe bench everybody`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import MISSING, number, section, table


def everybody(result: Mapping[str, Any]) -> list[str]:
    """How each batch of requests ended, and what serves when every user has left."""
    end = result["end"]
    live = "a version is still live" if end["live"] else "no version is live"
    return [
        (
            f"{result['users']} generated people, {result['fewer_than_five_events']} of them with fewer than five "
            f"events (seed {result['seed']}). In the end {live}, and `/readyz` answers {end['readyz']}."
        ),
        "",
        *section(
            "Batches of requests",
            table(
                [
                    "requests",
                    "accepted",
                    "outcomes",
                    "runs",
                    "published by",
                    "seconds",
                    "personalised of all who have asked",
                ],
                [
                    [
                        row["requests"],
                        _counts(row["accepted"]),
                        _counts(row["outcomes"]),
                        row["runs"],
                        _counts(row["published_by"]),
                        number(row["seconds"], 0),
                        row["personalised_after"],
                    ]
                    for row in result["rows"]
                ],
            ),
        ),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or MISSING
