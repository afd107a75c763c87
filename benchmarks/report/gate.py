"""The tables of `lethe bench gate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.cells import moments, number, table

_LEGEND = (
    "*Wrong* stands more than 3 deviations of never-seen adapters from their mean, on either side; *as good as never "
    "seen* at most 2. The first interval takes trials for independent. They are not: candidates of one deletion share "
    "the subject, and the true re-fits of a service are one adapter, which left out all of its subjects. The second, "
    "where it was computed, takes services as the unit. "
    "*least_change_later* is the ladder's next rung of that method, tried where the gate refused both edits to the "
    "level: its row holds hard cases only."
)
_POWER = (
    "The subjects' places before any edit, from so many of their items alone: *told apart* lie above the band. What "
    "lies inside it leaves the gate nothing to judge. Items keep the history before them; a user who has no more than "
    "so many items has less of it."
)
_STRATA = (
    "*Told*: the subject lay outside the band before any edit; false accepts are counted among these. *Near*: of "
    "those, candidates at most 6 deviations off. *Decides*: at most 2 % of the wrong candidates came through, the "
    "interval by service ends below 5 %, and at most 10 % of the true re-fits were failed for what is about the "
    "subject (membership, rounding, tail). *Served*: by a rung towards the level. Intervals take services as the unit."
)
_READINGS = (
    "Every user of every service, not only those who are forgotten in trials, and no edit: *told* lie outside the "
    "band under the adapter that knows them; *outside it although never seen* are readings under adapters of other "
    "services, which the gate would fail although they are the truth."
)
_BATCHES = (
    "Batches are drawn from users who lie inside the band under the adapter that knows them. *Wrong* is meant of the "
    "batch: its mean stands more than 3 deviations from that of never-seen adapters."
)
_STRATA_HEAD = (
    "from",
    "below",
    "deletions",
    "services",
    "told",
    "false accepts",
    "near",
    "false rejects",
    "re-fits failed",
    "served",
    "word",
)
_STRATA_TITLES = {
    "items": "By length of the history",
    "service_users": "By size of the service",
    "density": "By density (events of a user and item)",
}
_BANDS = (
    "Each band of membership, before and after rounding, with every other check as it was. On development users this "
    "is where the policy's band was read off; on others it is here to be looked at, not to choose from."
)
_NOTHING: Mapping[str, Any] = {"share": None}


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
            ["", "of", "share", "95 % interval", "by services"],
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
        *_strata(result.get("strata", {})),
        *_readings(result.get("by_length", [])),
        *_batches(result.get("batches", {"batches": 0})),
        "### True re-fits by service",
        "",
        *table(
            ["service", "pass", "fail", "inconclusive"],
            [
                [
                    _service(entry["world"]),
                    *(_share(entry[word]) for word in ("pass", "fail", "inconclusive")),
                ]
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
        *table(
            ["measure", "true re-fits failed", "edits to the level failed"],
            [
                [name, _share(found), _share(result.get("refusals_of_edits", {}).get(name, _NOTHING))]
                for name, found in result["refusals"].items()
            ],
        ),
    ]


def _strata(strata: Mapping[str, Any]) -> list[str]:
    lines = []
    for field, entries in strata.items():
        lines += [
            f"### {_STRATA_TITLES[field]}",
            "",
            *table(
                _STRATA_HEAD,
                [
                    [
                        _edge(entry["from"]),
                        _edge(entry["to"]),
                        str(entry["deletions"]),
                        str(entry["services"]),
                        _share(entry["told"]),
                        _with_interval(entry["false_accept"]),
                        _share(entry["false_accept_near"]),
                        _with_interval(entry["false_reject"]),
                        _share(entry["refits_failed"]),
                        _share(entry["served"]),
                        entry["word"],
                    ]
                    for entry in entries
                ],
            ),
            "",
        ]
    return [*lines, _STRATA, ""] if lines else []


def _readings(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    if not entries:
        return []
    return [
        "### What levels tell, by length of the history",
        "",
        *table(
            ["items from", "below", "users", "told", "readings", "outside it although never seen"],
            [
                [
                    _edge(entry["from"]),
                    _edge(entry["to"]),
                    str(entry["told"]["of"]),
                    _with_interval(entry["told"]),
                    str(entry["outside"]["of"]),
                    _with_interval(entry["outside"]),
                ]
                for entry in entries
            ],
        ),
        "",
        _READINGS,
        "",
    ]


def _batches(found: Mapping[str, Any]) -> list[str]:
    if not found["batches"]:
        return []
    return [
        "### Batches of subjects of whom nothing is told alone",
        "",
        *table(
            ["", "of", "share", "95 % interval", "by services"],
            [
                _row("batches on which there is a word before any edit", found["told"]),
                _row("false accepts: wrong candidates called forgotten", found["false_accept"]),
                _row("false rejects: true re-fits failed", found["false_reject"]),
                _row("edits to the level called forgotten", found["forgotten"]),
            ],
        ),
        "",
        _BATCHES,
        "",
    ]


def _service(name: int | str) -> str:
    """The label of a service: a number, counted from 1; the service's name if several results are joined."""
    return str(name + 1) if isinstance(name, int) else name


def _with_interval(rate: Mapping[str, Any]) -> str:
    if rate.get("high_by_service") is None:
        return _share(rate)
    return f"{_share(rate)}, {_interval(rate['low_by_service'], rate['high_by_service'])}"


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %"


def _row(name: str, rate: Mapping[str, Any]) -> list[str]:
    return [
        name,
        f"{rate['count']} of {rate['of']}",
        _percent(rate),
        _interval(rate["low"], rate["high"]),
        _interval(rate.get("low_by_service"), rate.get("high_by_service")),
    ]


def _share(rate: Mapping[str, Any]) -> str:
    return "–" if rate["share"] is None else f"{_percent(rate)} ({rate['count']})"


def _percent(rate: Mapping[str, Any]) -> str:
    return "–" if rate["share"] is None else f"{100 * rate['share']:.1f} %"


def _edge(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
