"""Summaries of the rows of one scenario and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import torch

from unlearning.attacks.membership import membership_attack

# Lists that a cell keeps for pooling. A result does not show them.
SHADOW_SCORES = ("lira.subject_scores", "lira.outsider_scores")
_NO_FIGURE = ("seed", "requests")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Terms:
    """The conditions under which forgetting is measurable, on the original adapter's utility and memory.

    Attributes:
        held_out, own_tail: the figures that are compared.
        held_out_ratio: least ratio of the original's figure to the base's.
        own_tail_ratio: least ratio of the original's figure to the re-fit's, on the subjects.
    """

    held_out: str = "test_recall@10"
    own_tail: str = "forget_recall@10"
    held_out_ratio: float = 2.0
    own_tail_ratio: float = 1.8


ITEM_TOKENS = Terms()


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The spread of every figure, by scenario, number of requests (in a sequence) and method."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["scenario"], row.get("requests"), row["method"]), []).append(row)
    return [
        {
            "scenario": scenario,
            "requests": requests,
            "method": method,
            "rows": len(own),
            "figures": {
                name: _spread([row[name] for row in own])
                for name in own[0]
                if name not in _NO_FIGURE and all(_is_number(row.get(name)) for row in own)
            },
        }
        for (scenario, requests, method), own in groups.items()
    ]


def pooled_shadow_attack(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """LiRA by method, over the subjects of all seeds: eight subjects per seed are too few for a rate at 1 %."""
    found: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method and "lira.subject_scores" in row]
        if not own:
            continue
        subjects, outsiders = (
            torch.tensor([score for row in own for score in row[name]]) for name in SHADOW_SCORES
        )
        result = membership_attack(subjects, outsiders)
        found[method] = {
            "auc": result.auc,
            "auc_two_sided": result.auc_two_sided,
            "tpr_at_1_fpr": result.tpr_at_1_fpr,
            "subjects": result.members,
            "outsiders": result.non_members,
        }
    return found


def regime_of(rows: Sequence[Row], terms: Terms = ITEM_TOKENS) -> dict[str, Any]:
    """Whether forgetting is measurable here: the adapter helps, and it remembers the users on whom it was fitted.

    Uses the scenario that forgets 5 % of the users; if it is missing, the first scenario.
    """
    batch = [row for row in rows if row["scenario"] == "users-5"] or [
        row for row in rows if row["scenario"] == rows[0]["scenario"]
    ]
    test = _ratio(batch, terms.held_out, "do_nothing", "drop_adapter")
    member = _ratio(batch, terms.own_tail, "do_nothing", "refit")
    return {
        "test_recall_original_over_base": test,
        "test_recall_required": terms.held_out_ratio,
        "member_recall_original_over_refit": member,
        "member_recall_required": terms.own_tail_ratio,
        "holds": None
        if test is None or member is None
        else test >= terms.held_out_ratio and member >= terms.own_tail_ratio,
        **({} if terms == ITEM_TOKENS else {"held_out": terms.held_out, "own_tail": terms.own_tail}),
    }


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {
        "mean": fmean(values),
        "deviation": stdev(values) if len(values) > 1 else None,
        "lowest": min(values),
        "highest": max(values),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ratio(rows: Sequence[Row], metric: str, over: str, under: str) -> float | None:
    values = {
        name: [row[metric] for row in rows if row["method"] == name and row.get(metric) is not None]
        for name in (over, under)
    }
    # An area above chance can be negative, and then it is no share of anything.
    if not values[over] or not values[under] or fmean(values[under]) <= 0:
        return None
    return fmean(values[over]) / fmean(values[under])
