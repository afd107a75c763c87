"""The tables of `lethe bench gate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import moments, number, table

_LEGEND = (
    "*Wrong* stands more than 3 deviations of never-seen adapters from their mean, on either side; *as good as never "
    "seen* at most 2. Intervals take trials for independent. They are not: candidates of one deletion share the "
    "subject, and the true re-fits of a service are one adapter, which left out all of its subjects. "
    "*least_change_later* is the ladder's next rung of that method, tried where the gate refused the first: its row "
    "holds hard cases only."
)
_POWER = (
    "The subjects' places before any edit, from so many of their items alone: *told apart* lie above the band. What "
    "lies inside it leaves the gate nothing to judge. Items keep the history before them; a user who has no more than "
    "so many items has less of it. The gate itself says nothing below the policy's `min_items`."
)
_BANDS = (
    "Each band of membership, before and after rounding, with every other check as it was. On development users this "
    "is where the policy's band was read off; on others it is here to be looked at, not to choose from."
)


def gate(result: Mapping[str, Any]) -> list[str]:
    """Error rates first, then what they are made of."""
    data = result["data"]
    sizes = data["users_of_a_world"]
    origin = (
        f"Data: {data['source']}. {result['deletions']} deletions of one {data['users']} user each, from "
        f"{data['worlds']} services of {min(sizes)} to {max(sizes)} users whose truth is known. "
        f"Policy {result['policy']['name']}, {result['policy']['hash'][:12]}. Cells made at commit "
        f"{', '.join(commit[:12] for commit in result['commits'])}."
    )
    return [
        origin,
        "",
        *table(
            ["", "of", "share", "95 % interval"],
            [
                _row("false accepts: wrong candidates let through", result["false_accept"]),
                _row("of those at most 6 deviations off", result["false_accept_near"]),
                _row("of those edits towards the level", result["false_accept_edited"]),
                _row("false rejects: true re-fits failed", result["false_reject"]),
                _row("true re-fits let through", result["refits_accepted"]),
                _row("true re-fits inconclusive", result["refits_inconclusive"]),
                _row("wrong candidates inconclusive", result["wrong_inconclusive"]),
                _row("edited candidates as good as never seen, let through", result["right_accepted"]),
                _row("deletions served by a rung towards the level", result["ladder"]["served"]),
                _row("of these, wrong", result["ladder"]["wrong"]),
            ],
        ),
        "",
        _LEGEND,
        "",
        "### By candidate",
        "",
        *table(
            ["candidate", "truth z", "wrong", "pass", "fail", "inconclusive", "seconds"],
            [
                [
                    entry["candidate"],
                    moments(entry["truth_z"]),
                    *(_share(entry[name]) for name in ("wrong", "pass", "fail", "inconclusive")),
                    number(entry["seconds"], 2),
                ]
                for entry in result["candidates"]
            ],
        ),
        "",
        "### True re-fits by service",
        "",
        *table(
            ["service", "pass", "fail", "inconclusive"],
            [
                [str(entry["world"] + 1), *(_share(entry[word]) for word in ("pass", "fail", "inconclusive"))]
                for entry in result["by_world"]
            ],
        ),
        "",
        "### By truth",
        "",
        *table(
            ["truth z from", "to", "candidates", "let through"],
            [
                [
                    _edge(entry["from"]),
                    _edge(entry["to"]),
                    str(entry["accepted"]["of"]),
                    _share(entry["accepted"]),
                ]
                for entry in result["by_truth"]
            ],
        ),
        "",
        "### By number of interactions",
        "",
        *table(
            ["items from", "below", "re-fits", "inconclusive", "failed", "mean z before the edit"],
            [
                [
                    _edge(entry["from"]),
                    _edge(entry["to"]),
                    str(entry["refits_failed"]["of"]),
                    _share(entry["refits_inconclusive"]),
                    _share(entry["refits_failed"]),
                    number(entry["kept_z"], 1),
                ]
                for entry in result["by_items"]
            ],
        ),
        "",
        "### What so many interactions tell",
        "",
        *table(
            ["items drawn", "subjects", "band's deviation (nats)", "median z before the edit", "told apart"],
            [
                [
                    str(entry["items"]),
                    str(entry["subjects"]),
                    number(entry["deviation"], 2),
                    number(entry["median_z"], 1),
                    f"{100 * entry['told']:.0f} %",
                ]
                for entry in result["power"]
            ],
        ),
        "",
        _POWER,
        "",
        "### The levels behind it",
        "",
        *table(
            ["", "mean ± deviation (lowest to highest)"],
            [[name, moments(found)] for name, found in result["levels"].items()],
        ),
        "",
        "### What levels tell, by membership alone",
        "",
        *table(
            ["", "wrong candidates inside the band", "true re-fits outside it"],
            [
                [name, _share(found["wrong_inside"]), _share(found["refits_outside"])]
                for name, found in result["evidence"].items()
            ],
        ),
        "",
        "### Other bands",
        "",
        *table(
            ["membership within", "wrong candidates let through", "true re-fits outside"],
            [
                [f"{entry['band']:g}", _share(entry["false_accept"]), _share(entry["refits_outside"])]
                for entry in result["bands"]
            ],
        ),
        "",
        _BANDS,
        "",
        "### Which measure fails true re-fits",
        "",
        *table(["measure", "failed"], [[name, _share(found)] for name, found in result["refusals"].items()]),
    ]


def _row(name: str, rate: Mapping[str, Any]) -> list[str]:
    interval = "–" if rate["share"] is None else f"{100 * rate['low']:.1f} to {100 * rate['high']:.1f} %"
    return [name, f"{rate['count']} of {rate['of']}", _percent(rate), interval]


def _share(rate: Mapping[str, Any]) -> str:
    return "–" if rate["share"] is None else f"{_percent(rate)} ({rate['count']})"


def _percent(rate: Mapping[str, Any]) -> str:
    return "–" if rate["share"] is None else f"{100 * rate['share']:.1f} %"


def _edge(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
