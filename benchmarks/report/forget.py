"""The tables of `lethe bench forget`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.report.cells import MISSING, number, section, table


def forget(result: Mapping[str, Any]) -> list[str]:
    """Times of the requests, which method was published, what the load saw, and every request."""
    load = result["load"]
    return [
        (
            f"Data: {result['data']['source']}. {result['requests']} requests of one user each, one after the other "
            f"(seed {result['seed']}), {result['completed']} of them completed; seconds count from the 202."
        ),
        "",
        *section("How long a request takes", _times(result)),
        *section("Methods", _methods(result)),
        *section(
            f"{load['per_second']:g} recommendations a second meanwhile",
            table(
                ["answers", "not 200", "header and body name two versions", "not personalised"],
                [[load["answers"], load["non_200"], load["mixed"], load["fallbacks"]]],
            ),
        ),
        *section("Every request", _requests(result)),
    ]


def _times(result: Mapping[str, Any]) -> list[str]:
    columns = ("p50", "p95", "max")
    rows = [
        [title, *(number(result[name][column], digits) for column in columns)]
        for title, name, digits in (
            ("suppressed, seconds", "suppressed_seconds", 3),
            ("completed, seconds", "completed_seconds", 1),
        )
    ]
    return table(["", *columns], rows)


def _methods(result: Mapping[str, Any]) -> list[str]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for row in result["rows"]:
        for attempt in row["attempts"]:
            seconds[attempt["method"]].append(attempt["seconds"])
    rows = [
        [
            method,
            len(taken),
            result["published_by"].get(method, 0),
            number(median(taken), 1),
            number(max(taken), 1),
        ]
        for method, taken in seconds.items()
    ]
    return table(["method", "attempts", "requests it published", "seconds, median", "seconds, max"], rows)


def _requests(result: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            row["number"],
            row["status"],
            number(row["suppressed_seconds"], 3),
            number(row["completed_seconds"], 1),
            row["published_by"] or MISSING,
            ", ".join(f"{attempt['method']} {attempt['seconds']:.1f} s" for attempt in row["attempts"])
            or MISSING,
        ]
        for row in result["rows"]
    ]
    return table(["request", "status", "suppressed s", "completed s", "published by", "attempts"], rows)
