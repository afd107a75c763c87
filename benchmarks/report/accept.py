"""The tables of `lethe bench accept`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import MISSING, number, section, table

_LEFT_OUT = ("not_accepted", "not_suppressed", "never_personalised")
_SPREAD = ("p50", "p95", "p99", "max")


def accept(result: Mapping[str, Any]) -> list[str]:
    """How long forget requests waited to be accepted, how long recommendations took, and what was imported."""
    runs = result["runs"]
    return [
        (
            f"Data: {result['data']['source']}, seed {result['seed']}. Seconds count from the moment at which a "
            "request was due to be sent until its answer."
        ),
        "",
        *section(
            "Forget requests",
            table(
                ["beside", "database", "requests", "statuses", *_SPREAD],
                [[_beside(one), one["database"], *_cells(one["forgets"], 3)] for one in runs]
                + [
                    [
                        f"{one['beside']}, a usual one instead",
                        one["database"],
                        *_cells(one["forgets_without"], 3),
                    ]
                    for one in runs
                    if "forgets_without" in one
                ],
            ),
        ),
        *section(
            "Recommendations meanwhile",
            table(
                ["beside", "database", "", "answers", "statuses", *_SPREAD, "p99, with to without"],
                [
                    [
                        _beside(one),
                        one["database"],
                        name,
                        *_cells(one["recommendations"][name], 3),
                        _ratio(one["recommendations"]) if name == "with" else "",
                    ]
                    for one in runs
                    for name in ("without", "with")
                ],
            ),
        ),
        *_imports(runs),
        *_suppression(runs),
    ]


def _beside(run: Mapping[str, Any]) -> str:
    rate = run.get("forgets_per_second")
    return run["beside"] if rate is None else f"{run['beside']}, {rate['wanted']:g} forgets/s wanted"


def _imports(runs: list[Mapping[str, Any]]) -> list[str]:
    importing = [one for one in runs if "imports" in one]
    if not importing:
        return []
    rows = [
        [one["database"], one["imports"]["clients"], one["imports"]["events"], *_cells(one["imports"], 1)]
        for one in importing
    ]
    return section(
        "Imports", table(["database", "clients", "events in each", "imports", "statuses", *_SPREAD], rows)
    )


def _suppression(runs: list[Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            one["database"],
            one["replicas"],
            number(one["forgets_per_second"]["wanted"], 0),
            number(one["forgets_per_second"]["reached"], 1),
            number(one["asked"]["every_seconds"], 2),
            number(one["asked"]["per_second"], 0),
            *(one["suppression"][name] for name in ("count", *_LEFT_OUT)),
            *(number(one["suppression"][name], 3) for name in _SPREAD),
            " to ".join(number(load, 1) for load in one["load"]),
        ]
        for one in runs
        if "suppression" in one
    ]
    if not rows:
        return []
    head = [
        "database",
        "replicas",
        "forgets/s wanted",
        "sent",
        "asked every",
        "questions/s",
        "users",
        "not accepted",
    ]
    head += ["not suppressed", "never personalised", *_SPREAD, "load"]
    return section(
        "From the 202 to the last personalised answer from any replica",
        table(head, rows),
        (
            "Every replica was asked about each of these users at these intervals, from before the request was due "
            "until all replicas answered as of a suppressed user. An answer before the 202 counts as 0. The users in "
            "the three columns after *users* are left out of the seconds. No worker runs; gateways, database and "
            "clients share the machine."
        ),
    )


def _cells(answers: Mapping[str, Any], digits: int) -> list[Any]:
    statuses = ", ".join(f"{status}: {count}" for status, count in answers["statuses"].items())
    return [answers["count"], statuses or MISSING, *(number(answers[name], digits) for name in _SPREAD)]


def _ratio(recommendations: Mapping[str, Mapping[str, Any]]) -> str:
    beside, alone = recommendations["with"]["p99"], recommendations["without"]["p99"]
    return MISSING if not beside or not alone else number(beside / alone, 2)
