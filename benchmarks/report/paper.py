"""The tables of the U-CAN paper (arXiv 2602.23400) in its layout, its figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.cells import MISSING, filled, number, section, significant_spread, spread, table
from benchmarks.report.measured import REFIT, SWEEP, Rows
from benchmarks.report.published import ABLATION, MAIN, SOURCE, Published

_FULL = "ucan"
_LIMITS = (
    "What cannot be compared: the levels. The paper's base is a Llama-2-7B with LlamaRec's prompts and a list of "
    "candidates, ours a small decoder over item tokens that ranks the whole catalogue. Its “ML-100k” is, by the counts "
    "that LlamaRec's preparation gives, MovieLens ml-latest-small (610 users) and not MovieLens-100K (943 users). Of "
    "its split of forgotten and kept interactions only the share is known, and its forget and retain columns are of "
    "different populations. Its row without any edit, from which Trade-off@10 takes the drops, is not published in "
    "what we could read, nor are the equations and hyper-parameters of U-CAN: ours is a reconstruction. Its GA and NPO "
    "changed nothing (KL 0.00), so that it says nothing about tuned ones. And the published figures here are "
    "transcribed at second hand. What is left to compare is which way a change moves a figure."
)
_OURS = (
    "Ours: forget R@10 is of the forgotten interactions, each ranked after what preceded it, retain R@10 of held-out "
    "last events, KL in nats from the unedited model, PPL over the forgotten items; Trade-off@10 is the percentage "
    "drop of the first less that of the second."
)


@dataclass(frozen=True)
class Direction:
    """One claim: `figure` of `greater` lies above that of `less`."""

    claim: str
    figure: str
    greater: str
    less: str


DIRECTIONS = (
    Direction("KL of full U-CAN > KL without C", "kl", _FULL, "ucan_without_contrast"),
    Direction("KL of full U-CAN > KL without F", "kl", _FULL, "ucan_without_utility"),
    Direction("KL of full U-CAN > KL without H", "kl", _FULL, "ucan_without_soft"),
    Direction(
        "hard pruning hurts retain R@10 more than soft (without H)", "test_recall@10", _FULL, "ucan_without_soft"
    ),
    Direction(
        "without F forgets less (higher forget R@10)", "forget_recall@10", "ucan_without_utility", _FULL
    ),
)  # fmt: skip


def paper_tables(rows: Rows) -> list[str]:
    """All of them; [] where U-CAN was not among the methods."""
    if _FULL not in rows.methods:
        return []
    return [
        *section("U-CAN paper: main results", _main(rows), f"Published: {SOURCE}.", _OURS),
        *section("U-CAN paper: ablation", _ablation(rows)),
        *section("U-CAN paper: time and throughput", _time(rows), "Published as a figure without numbers."),
        *section("U-CAN paper: risk threshold", _sweep(rows), "Published as a figure without numbers."),
        *section("U-CAN paper: do its directions reproduce?", _directions(rows), _LIMITS),
    ]


def _main(rows: Rows) -> list[str]:
    head = ["method"]
    for title in ("Trade-off@10", "R@10 forget", "R@10 retain", "KL", "PPL"):
        head += [f"{title}: paper", "ours"]
    unedited = Published("un-edited", "do_nothing", None, None, None, None, None)
    untuned = Published("U-CAN, untuned defaults", "ucan_default", None, None, None, None, None)
    body = []
    for entry in (unedited, *MAIN, untuned):
        mine = entry.row
        body.append(
            [
                f"{entry.title} ({mine})",
                *(number(entry.tradeoff, 2), spread(rows.values(mine, "tradeoff@10"), 2)),
                *(number(entry.forget_recall, 4), spread(rows.values(mine, "forget_recall@10"), 4)),
                *(number(entry.retain_recall, 4), spread(rows.values(mine, "test_recall@10"), 4)),
                *(number(entry.kl, 2), spread(rows.values(mine, "kl"), 4)),
                *(number(entry.ppl, 2), spread(rows.values(mine, "ppl"), 2)),
            ]
        )
    return table(head, body)


def _ablation(rows: Rows) -> list[str]:
    head = ["variant"]
    for title in ("KL", "R@10 forget", "R@10 retain"):
        head += [f"{title}: paper", "ours"]
    body = [
        [
            f"{entry.title} ({entry.row})",
            *(number(entry.kl, 2), spread(rows.values(entry.row, "kl"), 4)),
            *(number(entry.forget_recall, 4), spread(rows.values(entry.row, "forget_recall@10"), 4)),
            *(number(entry.retain_recall, 4), spread(rows.values(entry.row, "test_recall@10"), 4)),
            spread(rows.values(entry.row, "ppl"), 2),
            spread(rows.values(entry.row, "distance"), 3),
        ]
        for entry in ABLATION
    ]
    return table([*head, "PPL: ours", "distance (nats): ours"], body)


def _time(rows: Rows) -> list[str]:
    body = [
        [
            f"{entry.title} ({entry.row})",
            significant_spread(rows.values(entry.row, "seconds"), 3),
            significant_spread(rows.values(entry.row, "samples_per_second"), 3),
        ]
        for entry in MAIN
    ]
    return table(["method", "seconds: ours", "samples/s: ours"], body)


def thresholds(rows: Rows) -> dict[float, str]:
    """The rows of the sweep by their threshold, ascending."""
    found = {float(name.removeprefix(SWEEP)): name for name in rows.methods if name.startswith(SWEEP)}
    return dict(sorted(found.items()))


def _sweep(rows: Rows) -> list[str]:
    columns = (
        ("KL", "kl", 4),
        ("PPL", "ppl", 2),
        ("R@10 forget", "forget_recall@10", 4),
        ("R@10 retain", "test_recall@10", 4),
        ("Trade-off@10", "tradeoff@10", 1),
        ("distance (nats)", "distance", 3),
    )
    shown = {**{f"{value:g}": name for value, name in thresholds(rows).items()}, "re-fit": REFIT}
    body = [
        [title, *(spread(rows.values(name, figure), digits) for _, figure, digits in columns)]
        for title, name in shown.items()
    ]
    return filled(["threshold", *(title for title, _, _ in columns)], body)


def _directions(rows: Rows) -> list[str]:
    body = [
        [
            direction.claim,
            *_verdict(rows, direction.figure, direction.greater, [direction.less], _digits(direction.figure)),
        ]
        for direction in DIRECTIONS
    ]
    others = [entry.row for entry in MAIN if entry.row != _FULL]
    claim = "U-CAN has the best Trade-off@10 of the five"
    body.append([claim, *_verdict(rows, "tradeoff@10", _FULL, others, _digits("tradeoff@10"))])
    return table(
        ["the paper's direction", "ours (means)", "does it reproduce?", "deletions in which it does"], body
    )


def _digits(figure: str) -> int:
    return 2 if figure == "tradeoff@10" else 4


def _verdict(rows: Rows, figure: str, greater: str, less: Sequence[str], digits: int) -> list[str]:
    """Means, whether the one lies above all the others, and in how many deletions it does."""
    own = rows.mean(greater, figure)
    theirs = {name: rows.mean(name, figure) for name in less}
    absent = [name for name, value in theirs.items() if value is None]
    means = f"{greater} {number(own, digits)}; " + ", ".join(
        f"{name} {number(value, digits)}" for name, value in theirs.items()
    )
    if own is None or absent:
        absent = [*([greater] if own is None else []), *absent]
        return [means, f"cannot be said: {', '.join(absent)} not measured", MISSING]
    known = [value for value in theirs.values() if value is not None]
    return [means, _said(own, known), _consistency(rows, figure, greater, less)]


def _said(own: float, others: Sequence[float]) -> str:
    if all(own > other for other in others):
        return "reproduces"
    if all(own >= other for other in others):
        return "does not reproduce: equal"
    return "does not reproduce"


def _consistency(rows: Rows, figure: str, greater: str, less: Sequence[str]) -> str:
    above: list[set[str]] = []
    both: list[set[str]] = []
    own = _by_deletion(rows, greater, figure)
    for name in less:
        other = _by_deletion(rows, name, figure)
        shared = own.keys() & other.keys()
        both.append(shared)
        above.append({deletion for deletion in shared if own[deletion] > other[deletion]})
    return f"{len(set.intersection(*above))} of {len(set.intersection(*both))}"


def _by_deletion(rows: Rows, method: str, figure: str) -> dict[str, float]:
    return {row["deletion"]: row[figure] for row in rows.of(method) if row.get(figure) is not None}
