"""The tables of `lethe bench unlearn`: one chapter per scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.attacks import durability, membership
from benchmarks.report.cells import MISSING, filled, number, section, significant_spread, spread, table
from benchmarks.report.labelled import labelled_rows
from benchmarks.report.measured import REFIT, Rows, against_controls, halves, labelled, scenarios
from benchmarks.report.paper import paper_tables
from benchmarks.report.styled import regime_line, size_of, styled

_PAPER_SCENARIO = "interactions-25"
_BEFORE_DISTANCE = (("forget R@10", "forget_recall@10", 3),)
_DISTANCES = (
    ("forget NLL − re-fits", "forget_nll_gap_signed", 3),
    ("absolute, per user", "forget_nll_gap", 3),
    ("JSD to re-fits", "jsd", 4),
)
_UTILITY = (
    ("retained own tail R@10", "retained_member_recall@10", 3),
    ("neighbours' own tail R@10", "neighbour_member_recall@10", 3),
    ("held-out R@10", "test_recall@10", 3),
    ("held-out NDCG@10", "test_ndcg@10", 3),
)
_DESCRIPTIVE = (
    ("KL", "kl", 4),
    ("prediction shift", "prediction_shift", 3),
    ("PPL", "ppl", 1),
    ("Trade-off@10", "tradeoff@10", 1),
    ("forget MRR@10", "forget_mrr@10", 3),
    ("forget NDCG@10", "forget_ndcg@10", 3),
    ("held-out MRR@10", "test_mrr@10", 3),
    ("held-out R@5", "test_recall@5", 3),
    ("held-out change", "held_out_change", 3),
    ("run z", "run_z", 1),
)
# If a prompt offers ten candidates, recall at 10 is always 1.
_FIRST_PLACES = (("forget R@1", "forget_recall@1", 3),)
_FIRST_UTILITY = (
    ("retained own tail R@1", "retained_member_recall@1", 3),
    ("held-out R@1, both events", "held_out_recall@1", 3),
    ("held-out NDCG@10", "test_ndcg@10", 3),
)
_LABEL_FIGURES = (
    ("forget AUC", "forget_auc", 3),
    ("forget accuracy", "forget_accuracy", 3),
    ("forget log-loss", "forget_log_loss", 3),
)
_LABEL_UTILITY = (
    ("retained own AUC", "retained_member_auc", 3),
    ("held-out AUC", "held_out_auc", 3),
    ("held-out accuracy", "held_out_accuracy", 3),
    ("held-out log-loss", "held_out_log_loss", 3),
)
_AFTER_UTILITY = (
    "distance (nats)",
    "× floor",
    "beats",
    "seconds",
    "passed / failed / inconclusive",
    "publishable",
)
_FLOOR = (
    "The re-fit's row is the floor: how far one more exact re-fit stands from the ensemble of re-fits, which differ by "
    "their seeds alone. Nothing can be told from a re-fit below it. *Distance* is the sum of the subjects' and the "
    "retained users' mean absolute NLL difference and of what all held-out items lost, in nats; *beats* compares its "
    "means, without regard to their spread. The KS test compares the same interactions under two models and has little "
    "power: read its p beside that of do_nothing, and do not take a high one for equality."
)


def unlearn(result: Mapping[str, Any]) -> list[str]:
    """All chapters, and whether forgetting is measurable in this regime."""
    data = result["data"]
    about = (
        f"Data: {data['source']}, {data['items']} items, {data['service_users']} users in the service, "
        f"{data['panel_users']} in the panel, {data['development_users']} for development, "
        f"{data['outsiders']} who never belonged to it. Policy {result['policy']['name']}. "
        "Mean ± standard deviation over the rows of a method."
    )
    parts = size_of(result)
    if parts:
        about += f" Prompt style {result['style']}: {'; '.join(parts)}."
    regime = regime_line(result["regime"]) if parts else _regime(result["regime"])
    lines = [about, "", regime, "", *_origin(result)]
    for name, rows in scenarios(result).items():
        lines += _chapter(name, rows, result)
    return [*lines, *styled(result)][:-1]


def _origin(result: Mapping[str, Any]) -> list[str]:
    commits = ", ".join(commit[:12] for commit in result["commits"])
    return [f"Cells made at commit {commits}; this run took {result['wall_seconds'] / 60:.1f} minutes.", ""]


def _chapter(name: str, rows: Rows, result: Mapping[str, Any]) -> list[str]:
    lines = [f"## {name}: {result['scenarios'].get(name, '')}", "", _counted(rows), ""]
    lines += section("What is forgotten and what is kept", _main(rows), _FLOOR)
    if name == "single":
        for half, own in halves(rows).items():
            lines += section(f"The same, {half} users alone", _main(own))
        lines += _residuals(rows)
    lines += membership(rows, result["shadow_attack"] if rows.measured("lira.auc") else {})
    lines += durability(rows)
    lines += section("Cost", _cost(rows))
    lines += section(
        "Descriptive figures",
        _descriptive(rows),
        "Damage raises KL, shift, PPL and Trade-off as much as forgetting does; nothing is decided by them.",
    )
    return lines + (paper_tables(rows) if name == _PAPER_SCENARIO else [])


def _counted(rows: Rows) -> str:
    if rows.checkpoints != (None,):
        return (
            "Requests follow one another, each from the last one's result; cost adds up. Exact methods leave out all "
            "subjects at once, at the price of once, and stand beside every part of the walk."
        )
    own = {row["deletion"]: row for row in rows.rows}.values()
    users, items = (spread([row[f"forgotten_{what}"] for row in own], 0) for what in ("users", "items"))
    return f"Deletions: {len(own)}, of {users} users and {items} interactions."


def _main(rows: Rows) -> list[str]:
    body = [[*labels, *_main_row(own, method)] for labels, own, method in rows.lines()]
    before, utility = _ranked(rows)
    head = [
        *(title for title, _, _ in (*before, *_DISTANCES)),
        "KS p",
        *(title for title, _, _ in utility),
        *_AFTER_UTILITY,
    ]
    return table([*rows.label_head, *head], body)


def _ranked(rows: Rows) -> tuple[Sequence[tuple[str, str, int]], Sequence[tuple[str, str, int]]]:
    """The informative recalls: those in front of the distances, and those behind them."""
    if rows.measured("forget_recall@1"):
        return _FIRST_PLACES, _FIRST_UTILITY
    if labelled_rows(rows):
        return _LABEL_FIGURES, _LABEL_UTILITY
    return _BEFORE_DISTANCE, _UTILITY


def _main_row(rows: Rows, method: str) -> list[str]:
    floor, own = rows.mean(REFIT, "distance"), rows.mean(method, "distance")
    mark = " (floor)" if method == REFIT else ""
    before, utility = _ranked(rows)

    def distance(figure: str, digits: int) -> str:
        text = spread(rows.values(method, figure), digits)
        return text if text == MISSING else text + mark

    return [
        *(spread(rows.values(method, figure), digits) for _, figure, digits in before),
        *(distance(figure, digits) for _, figure, digits in _DISTANCES),
        significant_spread(rows.values(method, "ks_p")) + (mark if rows.values(method, "ks_p") else ""),
        *(spread(rows.values(method, figure), digits) for _, figure, digits in utility),
        distance("distance", 3),
        number(own / floor, 2) if own is not None and floor else MISSING,
        against_controls(rows, method),
        _seconds(rows, method),
        _verdicts(rows, method),
        _publishable(rows, method),
    ]


def _seconds(rows: Rows, method: str) -> str:
    # Popularity has 0 s, which was not measured: it runs no model and counts no passes.
    return (
        significant_spread(rows.values(method, "seconds"), 3) if rows.values(method, "forwards") else MISSING
    )


def _verdicts(rows: Rows, method: str) -> str:
    counts = [rows.values(method, f"subjects_{verdict}") for verdict in ("passed", "failed", "inconclusive")]
    return " / ".join(str(sum(map(int, count))) for count in counts) if all(counts) else MISSING


def _publishable(rows: Rows, method: str) -> str:
    said = [row["publishable"] for row in rows.of(method) if row.get("publishable") is not None]
    return f"{sum(said)} of {len(said)}" if said else MISSING


def _cost(rows: Rows) -> list[str]:
    body = [
        [
            *labels,
            _seconds(own, method),
            spread(own.values(method, "forwards"), 0),
            spread(own.values(method, "backwards"), 0),
            significant_spread(own.values(method, "samples_per_second"), 3),
            spread([value / 2**20 for value in own.values(method, "peak_bytes")], 1),
        ]
        for labels, own, method in rows.lines()
    ]
    head = ["seconds", "forwards", "backwards", "samples/s", "peak MiB"]
    return filled([*rows.label_head, *head], body, len(rows.label_head))


def _descriptive(rows: Rows) -> list[str]:
    body = [
        [*labels, *(spread(own.values(method, figure), digits) for _, figure, digits in _DESCRIPTIVE)]
        for labels, own, method in rows.lines()
    ]
    head = [*rows.label_head, *(title for title, _, _ in _DESCRIPTIVE)]
    return filled(head, body, len(rows.label_head))


def _residuals(rows: Rows) -> list[str]:
    deletions = tuple(dict.fromkeys(row["deletion"] for row in rows.rows))
    light = len(deletions) // 2
    divergence = {(row["method"], row["deletion"]): row.get("jsd") for row in rows.rows}
    body = []
    for method in rows.compared:
        ratios: list[float | None] = []
        for deletion in deletions:
            own, untouched = divergence.get((method, deletion)), divergence.get(("do_nothing", deletion))
            ratios.append(own / untouched if own is not None and untouched else None)
        sides = [
            spread([ratio for ratio in side if ratio is not None], 2)
            for side in (ratios[:light], ratios[light:])
        ]
        if any(ratio is not None for ratio in ratios):
            body.append([labelled(method), *sides, *(number(ratio, 2) for ratio in ratios)])
    users = [f"{'light' if place < light else 'heavy'} {place}" for place in range(len(deletions))]
    return section(
        "Residual ratio per user",
        table(["method", "light users", "heavy users", *users], body),
        "ρ = JSD to the re-fits of the method over that of doing nothing: 1 is nothing done, the re-fit's row is the "
        "floor, above 1 is farther from a re-fit than before.",
    )


def _regime(regime: Mapping[str, Any]) -> str:
    test, member = regime["test_recall_original_over_base"], regime["member_recall_original_over_refit"]
    holds = {True: "holds", False: "does NOT hold: the rows below mean little", None: "could not be measured"}
    return (
        f"Regime: held-out Recall@10, adapter over base: {number(test, 2)} "
        f"(at least {regime['test_recall_required']:g}); own-tail Recall@10 of the subjects, original over re-fit: "
        f"{number(member, 2)} (at least {regime['member_recall_required']:g}). It {holds[regime['holds']]}."
    )
