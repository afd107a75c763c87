"""The tables of `lethe bench sequence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.cells import number, table

_LEGEND = (
    "*Known again*: once inside the band of a model that never saw them, later above it. Bands stand around the "
    "levels that the service itself goes by. Each walk starts from the same adapter. A re-fit inside a walk leaves out "
    "all who asked so far, and answers a spent budget or a candidate that the gate did not let through; walks without "
    "re-fits take every candidate without asking it. Seconds are of edits and re-fits, not of the gate or of levels."
)


def sequence(result: Mapping[str, Any]) -> list[str]:
    """Every walk at a few stops, compared with a re-fit that never saw any user who asked."""
    refit, stops = result["refit"], _stops(result)
    origin = (
        f"Data: {result['data']['source']}. {result['requests']} users of {result['data']['service_users']} ask one "
        f"after the other; utility is that of the {result['data']['kept']} who never ask. Policy "
        f"{result['policy']['name']}, {result['policy']['hash'][:12]}."
    )
    beside = (
        f"A re-fit without all of them: held-out NDCG@10 {refit['held_out_ndcg@10']:.4f}, Recall@10 "
        f"{refit['held_out_recall@10']:.4f}, {refit['seconds']:.0f} s. Of those who asked it has "
        f"{refit['inside_band']} inside their band, {refit['still_known']} above and {refit['over_forgotten']} below, "
        "by chance and by the levels' own error: no walk can be asked for less."
    )
    return [
        origin,
        "",
        beside,
        "",
        *table(
            [
                "requests",
                "walk",
                "held-out NDCG@10",
                "of the re-fit's",
                "inside their band",
                "still known",
                "over-forgotten",
                "known again, ever",
                "pass / fail / inconclusive",
                "re-fits",
                "seconds",
            ],
            [
                [
                    row["requests"],
                    row["walk"],
                    number(row["held_out_ndcg@10"], 4),
                    number(row["held_out_ndcg@10"] / refit["held_out_ndcg@10"], 3),
                    row["inside_band"],
                    row["still_known"],
                    row["over_forgotten"],
                    row["ever_known_again"],
                    _words(row),
                    row["refits"],
                    number(row["seconds"], 0),
                ]
                for stop in stops
                for row in result["rows"]
                if row["requests"] == stop
            ],
        ),
        "",
        *_why(result["rows"]),
        _LEGEND,
    ]


def _why(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why each walk re-fitted, from its last row."""
    last = {row["walk"]: row for row in rows}
    lines = []
    for walk, row in last.items():
        if row["refits"]:
            reasons = sorted(row["refits_because"].items(), key=lambda reason: (-reason[1], reason[0]))
            named = ", ".join(f"{measure} {count}" for measure, count in reasons)
            origin = f"What the {row['refits']} re-fits of *{walk}* answered"
            lines += [f"{origin}, each counted under every measure that objected: {named}.", ""]
        if row["later_rungs"]:
            lines += [f"Requests of *{walk}* that a later rung served: {row['later_rungs']}.", ""]
    return lines


def _words(row: Mapping[str, Any]) -> str:
    """The gate's verdicts so far. A walk that takes every candidate does not ask the gate."""
    words = [row[word] for word in ("passed", "failed", "inconclusive")]
    return " / ".join(map(str, words)) if any(words) else "–"


def _stops(result: Mapping[str, Any]) -> list[int]:
    """The stops that are nearest to each quarter of the walk."""
    looked = sorted({row["requests"] for row in result["rows"]})
    quarters = [result["requests"] * quarter / 4 for quarter in range(1, 5)]
    return sorted({min(looked, key=lambda stop: abs(stop - wanted)) for wanted in quarters})
