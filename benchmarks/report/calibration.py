"""The tables of `lethe bench gate --calibrate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import moments, number, percent, table

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


def calibrate(result: Mapping[str, Any]) -> list[str]:
    """The gate's false alarms and power, and the sweep."""
    membership = result["membership"]
    bands = [
        [
            number(band["limit"], 1),
            *(
                percent(band[name])
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
        [row["method"], *(number(row[name], digits) for name, _, digits in _CALIBRATION_COLUMNS)]
        for row in result["rows"]
    ]
    never, member = membership["never_member_z"], membership["member_z"]
    users, judged = membership["users"], membership["users_with_power"]
    return [
        f"{users} development users, {judged} of them with enough items to be judged.",
        f"z of true never-members: {moments(never)}; of members: {moments(member)}.",
        "",
        *table(
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
        *table(["method", *(title for _, title, _ in _CALIBRATION_COLUMNS)], rows),
    ]
