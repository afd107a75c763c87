"""The tables of `lethe bench basis`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.cells import number, section, significant_spread, spread, table

_FIGURES = (
    ("distance", "distance"),
    ("forget_nll_gap", "subjects off"),
    ("forget_nll_gap_signed", "subjects off, signed"),
    ("retained_nll_gap", "others off"),
    ("held_out_nll_gap", "held out lost"),
)


def basis(result: Mapping[str, Any]) -> list[str]:
    """The choice on development users, the figures on report users, and the gaps that U-CAN contrasts."""
    data, rows = result["data"], result["rows"]
    names = list(dict.fromkeys(row["row"] for row in rows))
    deletions = len({row["deletion"] for row in rows})
    about = (
        f"Data: {data['source']}, {data['service_users']} users of whom {data['development_users']} are development "
        f"users, {data['items']} items. Scenario {result['scenario']}, {deletions} deletions of report users."
    )
    return [
        about,
        "",
        *section(
            "Chosen on development users",
            table(
                ["row", "chosen", "distance", "of the worst trial"],
                [_choice(result, name) for name in result["chosen"]],
            ),
            f"{len(result['trials']) // len(result['chosen'])} trials for every row, the uniform shrink included.",
        ),
        *section(
            "On report users",
            table(
                ["row", *(title for _, title in _FIGURES), "seconds"],
                [_row([row for row in rows if row["row"] == name]) for name in names],
            ),
            "Nats to an ensemble of two re-fits, mean ± deviation over deletions; the re-fit's distance is the floor. "
            "Signed: below 0 the subjects are known better than to a re-fit. Seconds of U-CAN are beside cached sums.",
        ),
        *section(
            "What there is to contrast",
            _gaps(result["gaps"]),
            "The mean relative gap of the channels between a group and all members that are not of it. Outsiders take "
            "part in no fit: a gap of subjects that is no larger than theirs is not membership. Bases of contrast look "
            "for the directions in which the group at hand differs most, and find some in any group.",
        )[:-1],
    ]


def _choice(result: Mapping[str, Any], name: str) -> list[str]:
    own = [trial for trial in result["trials"] if trial["row"] == name]
    config = result["chosen"][name]
    best = next(trial for trial in own if trial["config"] == config)
    text = ", ".join(f"{field} {value:g}" for field, value in config.items() if field != "basis")
    return [name, text, number(best["distance"], 3), number(max(trial["distance"] for trial in own), 3)]


def _row(own: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        own[0]["row"],
        *(spread([row[figure] for row in own], 3) for figure, _ in _FIGURES),
        significant_spread([row["seconds"] for row in own]),
    ]


def _gaps(gaps: Sequence[Mapping[str, Any]]) -> list[str]:
    groups = list(dict.fromkeys(gap["group"] for gap in gaps))
    body = [
        [
            basis_name,
            *(
                spread([gap["gap"] for gap in gaps if (gap["basis"], gap["group"]) == (basis_name, group)], 4)
                for group in groups
            ),
        ]
        for basis_name in dict.fromkeys(gap["basis"] for gap in gaps)
    ]
    return table(["basis", *groups], body)
