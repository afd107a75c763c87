"""The tables of `lethe bench overload`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import MISSING, number, section, table

_SPREAD = ("p50", "p95", "p99", "max")


def overload(result: Mapping[str, Any]) -> list[str]:
    """How a flood affected callers, memory and log, and what happened to the flood itself."""
    measured, flood = result["measured"], result["flood"]
    bodies = flood["bodies"]
    return [
        (
            f"Data: {result['data']['source']}, seed {result['seed']}; {result['seconds']:g} seconds each. Somebody "
            f"without a key holds {flood['half_open']} half-sent requests open and sends {bodies['count']} bodies of "
            f"{bodies['bytes'] / 2**20:g} MiB at once. Seconds count from the moment at which a request was due to be "
            "sent until its answer."
        ),
        "",
        *section(
            "The gateway and its callers",
            table(
                ["flood", "answers", "statuses", *_SPREAD, "memory, MB", "log, kB"],
                [
                    [
                        name,
                        one["recommendations"]["count"],
                        _statuses(one["recommendations"]["statuses"]),
                        *(number(one["recommendations"][percentile], 3) for percentile in _SPREAD),
                        number(one["resident_bytes"] / 1e6, 1),
                        number(one["log_bytes"] / 1e3, 1),
                    ]
                    for name, one in measured.items()
                ]
                + [["with to without", "", "", *_ratios(measured)]],
            ),
        ),
        *section(
            "The flood",
            table(
                ["half-open at most", "opened", "closed by the gateway", "bodies", "answered with"],
                [
                    [
                        flood["most_open"],
                        flood["opened"],
                        flood["closed_by_gateway"],
                        bodies["count"],
                        _statuses(bodies["statuses"]),
                    ]
                ],
            ),
        ),
    ]


def _statuses(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{status}: {count}" for status, count in statuses.items()) or MISSING


def _ratios(measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    beside, alone = measured["with"], measured["without"]
    pairs = [(beside["recommendations"][name], alone["recommendations"][name]) for name in _SPREAD]
    pairs += [(beside[name], alone[name]) for name in ("resident_bytes", "log_bytes")]
    return [number(above / below, 2) if above and below else MISSING for above, below in pairs]
