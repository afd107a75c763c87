"""Benchmark results as Markdown, so that what the documentation shows is what a command printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_UNLEARN_COLUMNS = (
    ("forget_recall@10", "forget R@10", 3),
    ("forget_nll", "forget NLL", 2),
    ("retained_member_recall@10", "kept own tail R@10", 3),
    ("test_recall@10", "held-out R@10", 3),
    ("test_ndcg@10", "held-out NDCG@10", 3),
    ("membership_auc", "member AUC", 3),
    ("run_z", "run z", 1),
    ("kl", "KL", 2),
    ("prediction_shift", "shift", 2),
    ("ppl", "PPL", 0),
    ("tradeoff@10", "Trade-off@10", 1),
    ("seconds", "seconds", 2),
)
_CALIBRATION_COLUMNS = (
    ("forget_nll_minus_refit", "forget NLL − re-fit", 2),
    ("forget_recall@10", "forget R@10", 3),
    ("retained_member_recall@10", "kept own tail R@10", 3),
    ("validation_ndcg@10", "validation NDCG@10", 4),
    ("held_out_change", "held-out change", 3),
    ("run_z", "run z", 1),
    ("pass", "pass", 0),
    ("fail", "fail", 0),
    ("inconclusive", "inconclusive", 0),
)


def rounded(value: Any, digits: int = 5) -> Any:
    """The same JSON values with floats cut to `digits` significant digits: a result file holds thousands of them."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, Mapping):
        return {name: rounded(item, digits) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    return value


def markdown(result: Mapping[str, Any]) -> str:
    """The tables of one benchmark's result, headed by where it was measured."""
    writers = {"unlearn": _unlearn, "ucan-cost": _ucan_cost, "calibrate": _calibrate}
    return "\n".join([_where(result["environment"]), "", *writers[result["benchmark"]](result), ""])


def _unlearn(result: Mapping[str, Any]) -> list[str]:
    rows = []
    for entry in result["summary"]:
        figures = entry["figures"]
        rows.append(
            [entry["method"], *(_spread(figures.get(name), digits) for name, _, digits in _UNLEARN_COLUMNS)]
        )
    regime = result["regime"]
    seeds = max(entry["seeds"] for entry in result["summary"])
    data = result["data"]
    share, users = f"{data['forget_share']:.0%}", data["service_users"]
    test, member = regime["test_recall_original_over_base"], regime["member_recall_original_over_refit"]
    return [
        f"Mean ± standard deviation over {seeds} seeds; {share} of {users} users forgotten.",
        "",
        *_table(["method", *(title for _, title, _ in _UNLEARN_COLUMNS)], rows),
        "",
        *_table(
            ["method", "seed", "subjects passed", "failed", "inconclusive", "run", "publishable"],
            [
                [
                    row["method"],
                    row["seed"],
                    row["subjects_passed"],
                    row["subjects_failed"],
                    row["subjects_inconclusive"],
                    row["run_decision"],
                    "yes" if row["publishable"] else "no",
                ]
                for row in result["rows"]
                if "run_decision" in row
            ],
        ),
        "",
        f"Regime: held-out Recall@10, adapter over base: {_number(test, 2)} (at least 2).",
        f"Own-tail Recall@10 of the subjects, original over re-fit: {_number(member, 2)} (at least 1.8).",
    ]


def _ucan_cost(result: Mapping[str, Any]) -> list[str]:
    columns = (
        ("subjects", "subjects", 0),
        ("tokens", "tokens", 0),
        ("forward_seconds", "forward s", 3),
        ("ucan_seconds", "U-CAN s", 3),
        ("ratio_to_forward", "ratio", 2),
        ("ratio_to_forward_processor_time", "ratio (processor time)", 2),
        ("ratio_to_forward_without_logits", "ratio, forward without logits", 2),
        ("peak_memory_ratio", "peak memory ratio", 2),
        ("peak_memory_ratio_without_logits", "peak memory ratio, forward without logits", 2),
    )
    rows = [[_number(row[name], digits) for name, _, digits in columns] for row in result["rows"]]
    return [
        f"Data: {result['data']['source']}, {result['repeats']} alternating repeats, medians.",
        "",
        *_table([title for _, title, _ in columns], rows),
    ]


def _calibrate(result: Mapping[str, Any]) -> list[str]:
    membership = result["membership"]
    bands = [
        [
            _number(band["limit"], 1),
            *(
                _percent(band[name])
                for name in (
                    "never_members_rejected",
                    "never_members_with_power_rejected",
                    "members_rejected",
                    "members_with_power_rejected",
                )
            ),
        ]
        for band in membership["bands"]
    ]
    rows = [
        [row["method"], *(_number(row[name], digits) for name, _, digits in _CALIBRATION_COLUMNS)]
        for row in result["rows"]
    ]
    never, member = membership["never_member_z"], membership["member_z"]
    users, judged = membership["users"], membership["users_with_power"]
    return [
        f"{users} development users, {judged} of them with enough items to be judged.",
        f"z of true never-members: {_moments(never)}; of members: {_moments(member)}.",
        "",
        *_table(
            [
                "band \\|z\\| ≤",
                "never-members outside",
                "…of those judged",
                "members outside",
                "…of those judged",
            ],
            bands,
        ),
        "",
        *_table(["method", *(title for _, title, _ in _CALIBRATION_COLUMNS)], rows),
    ]


def _where(environment: Mapping[str, Any]) -> str:
    machine, versions = environment["machine"], environment["library_versions"]
    commit = (environment["commit"] or "unknown")[:12] + ("+" if environment["uncommitted_changes"] else "")
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cores']} cores of {machine['processor']}, {environment['threads']} threads, load "
        f"{environment['load_before'][0]} at the start; {libraries}; commit {commit}, {environment['measured_at']}."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def _spread(figure: Mapping[str, float | None] | None, digits: int) -> str:
    if figure is None:
        return "–"
    deviation = figure["deviation"]
    return _number(figure["mean"], digits) + (f" ± {deviation:.{digits}f}" if deviation is not None else "")


def _moments(values: Mapping[str, float | None]) -> str:
    mean, deviation = _number(values["mean"], 2), _number(values["deviation"], 2)
    return f"{mean} ± {deviation}, from {_number(values['lowest'], 1)} to {_number(values['highest'], 1)}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
