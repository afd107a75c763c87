"""The tables of the U-CAN paper, in its layout: the published figures of `published.json` and ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report.cells import MISSING, filled, number, section, significant_spread, spread, table
from benchmarks.report.measured import REFIT, SWEEP, Rows

PUBLISHED: Mapping[str, Any] = json.loads((Path(__file__).parent / "published.json").read_text())

_FULL = "ucan"
_UNEDITED = {"title": "un-edited", "row": "do_nothing"}
_UNTUNED = {"title": "U-CAN, untuned defaults", "row": "ucan_default"}
# Title, figure, decimals of the paper's value and of ours.
_KL = ("KL", "kl", 2, 4)
_RECALLS = (("R@10 forget", "forget_recall@10", 4, 4), ("R@10 retain", "test_recall@10", 4, 4))
_MAIN = (("Trade-off@10", "tradeoff@10", 2, 2), *_RECALLS, _KL, ("PPL", "ppl", 2, 2))
# Title, figure, decimals and format of figures that only we have.
_ABLATION_OURS = (("PPL", "ppl", 2, spread), ("distance (nats)", "distance", 3, spread))
_TIME_OURS = (
    ("seconds", "seconds", 3, significant_spread),
    ("samples/s", "samples_per_second", 3, significant_spread),
)
_SWEEP = (
    ("KL", "kl", 4),
    ("PPL", "ppl", 2),
    ("R@10 forget", "forget_recall@10", 4),
    ("R@10 retain", "test_recall@10", 4),
    ("Trade-off@10", "tradeoff@10", 1),
    ("distance (nats)", "distance", 3),
)


def paper_tables(rows: Rows) -> list[str]:
    """All tables of the paper; [] if U-CAN was not among the methods."""
    if _FULL not in rows.methods:
        return []
    main, ablation, notes = PUBLISHED["main"], PUBLISHED["ablation"], PUBLISHED["notes"]
    sources = f"Published: {'; '.join(PUBLISHED['sources'].values())}."
    captions = "Published as a figure without numbers."
    beside_main = beside(rows, "method", [_UNEDITED, *main, _UNTUNED], _MAIN)
    return [
        *section("U-CAN paper: main results", beside_main, sources, notes["ours"]),
        *section(
            "U-CAN paper: ablation", beside(rows, "variant", ablation, (_KL, *_RECALLS), _ABLATION_OURS)
        ),
        *section("U-CAN paper: time and throughput", beside(rows, "method", main, (), _TIME_OURS), captions),
        *section("U-CAN paper: risk threshold", _sweep(rows), captions),
        *section(
            "U-CAN paper: do its directions reproduce?",
            directions(rows, PUBLISHED["directions"]),
            notes["limits"],
        ),
    ]


def beside(
    rows: Rows,
    label: str,
    entries: Sequence[Mapping[str, Any]],
    figures: Sequence[tuple[str, str, int, int]],
    ours: Sequence[tuple[str, str, int, Callable[[Sequence[float], int], str]]] = (),
) -> list[str]:
    """A table with each published figure next to ours, and with figures that only we have."""
    head = [label, *(cell for title, *_ in figures for cell in (f"{title}: paper", "ours"))]
    body = []
    for entry in entries:
        line = [f"{entry['title']} ({entry['row']})"]
        for _, figure, digits, own_digits in figures:
            line += [number(entry.get(figure), digits), spread(rows.values(entry["row"], figure), own_digits)]
        body.append(
            [*line, *(form(rows.values(entry["row"], name), digits) for _, name, digits, form in ours)]
        )
    return table([*head, *(f"{title}: ours" for title, *_ in ours)], body)


def thresholds(rows: Rows) -> dict[float, str]:
    """The rows of the sweep by their threshold, ascending."""
    found = {float(name.removeprefix(SWEEP)): name for name in rows.methods if name.startswith(SWEEP)}
    return dict(sorted(found.items()))


def _sweep(rows: Rows) -> list[str]:
    shown = {**{f"{value:g}": name for value, name in thresholds(rows).items()}, "re-fit": REFIT}
    body = [
        [title, *(spread(rows.values(name, figure), digits) for _, figure, digits in _SWEEP)]
        for title, name in shown.items()
    ]
    return filled(["threshold", *(title for title, _, _ in _SWEEP)], body)


def directions(rows: Rows, claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether our figures show each published direction. A claim with `below` says that its row has the least value."""
    body = [
        [
            one["claim"],
            *verdict(rows, one["figure"], one["greater"], one["less"], below=one.get("below", False)),
        ]
        for one in claims
    ]
    return table(
        ["the paper's direction", "ours (means)", "does it reproduce?", "deletions in which it does"], body
    )


def verdict(rows: Rows, figure: str, greater: str, less: Sequence[str], *, below: bool = False) -> list[str]:
    """The means, whether `greater` lies above (or below) all of `less`, and in how many deletions it does."""
    digits = 2 if figure.startswith(("tradeoff@", "seconds")) else 4
    sign = -1.0 if below else 1.0
    means = {name: rows.mean(name, figure) for name in (greater, *less)}
    said = [f"{name} {number(value, digits)}" for name, value in means.items()]
    text = f"{said[0]}; {', '.join(said[1:])}"
    own, *others = means.values()
    known = [value for value in others if value is not None]
    if own is None or len(known) < len(others):
        absent = [name for name, value in means.items() if value is None]
        return [text, f"cannot be said: {', '.join(absent)} not measured", MISSING]
    return [
        text,
        _said(sign * own, [sign * one for one in known]),
        _consistency(rows, figure, greater, less, sign),
    ]


def _said(own: float, others: Sequence[float]) -> str:
    if all(own > other for other in others):
        return "reproduces"
    if all(own >= other for other in others):
        return "does not reproduce: equal"
    return "does not reproduce"


def _consistency(rows: Rows, figure: str, greater: str, less: Sequence[str], sign: float) -> str:
    own, *others = (
        {row["deletion"]: sign * row[figure] for row in rows.of(name) if row.get(figure) is not None}
        for name in (greater, *less)
    )
    shared = set(own).intersection(*others)
    return f"{sum(all(own[one] > other[one] for other in others) for one in shared)} of {len(shared)}"
