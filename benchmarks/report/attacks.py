"""What attacks on a candidate find: membership, and whether forgotten items come back."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from benchmarks.report.cells import MISSING, filled, number, section, spread
from benchmarks.report.measured import REFIT, Rows, labelled

_ATTACKS = (
    ("loss, user", "loss.user"),
    ("loss, item", "loss.item"),
    ("base-calibrated, user", "base_calibrated.user"),
    ("base-calibrated, item", "base_calibrated.item"),
    ("Min-K, user", "min_k.user"),
    ("Min-K, item", "min_k.item"),
)
_MEMBERSHIP = (
    "Subjects against users who never belonged to the service. AUC is two-sided: 0.5 is no attack, and a subject who "
    "is too surprising gives itself away like one who is remembered. Each row's sign is turned by itself, so chance "
    "lies above 0.5, most where one subject stands alone: read the re-fit's row beside."
)
_SHADOWS = (
    "LiRA's shadows are fitted on random halves of the users, the audited models on nearly all of them, and IN shadows "
    "are not unlearned: it is the plain attack, not U-LiRA."
)
_DURABILITY = (
    "Gaps are absolute, per user, in nats. In relearning an attacker trains on some of the subjects' items, and the "
    "NLL is that of the others; *gain* is how far it fell below its start. An end below the re-fit's suggests that "
    "they were still there."
)
_ROUNDINGS = ("int8", "int4")
_RELEARNING = (("adapter", "adapter"), ("gates alone", "gates"))


def membership(rows: Rows, pooled: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """AUC and rate of each attack. `pooled` is LiRA over the subjects of all seeds, {} if no shadows were fitted."""
    head = [
        *rows.label_head,
        *(f"{title}: {figure}" for title, _ in _ATTACKS for figure in ("AUC", "TPR at 1 % FPR")),
        "LiRA, user: AUC",
        "LiRA, user: TPR at 1 % FPR",
    ]
    body = []
    for labels, own, method in rows.lines():
        shadow = pooled.get(method, {})
        body.append(
            [
                *labels,
                *(
                    spread(values, 3)
                    for _, attack in _ATTACKS
                    for values in (
                        own.values(method, f"{attack}.auc_two_sided"),
                        own.values(method, f"{attack}.tpr_at_1_fpr"),
                    )
                ),
                number(shadow.get("auc_two_sided"), 3),
                number(shadow.get("tpr_at_1_fpr"), 3),
            ]
        )
    notes = [_MEMBERSHIP]
    floors = rows.figures("loss.user.tpr_floor")
    if floors:
        notes.append(f"A score that says nothing reaches a rate of {fmean(floors):.3f} per user on average.")
    if pooled:
        one = next(iter(pooled.values()))
        notes.append(_SHADOWS)
        notes.append(
            f"LiRA is pooled over seeds: {one['subjects']} subjects against {one['outsiders']} outsiders "
            f"(the same people in every seed), so its rate moves in steps of 1/{one['subjects']}."
        )
    return section("Membership", filled(head, body, len(rows.label_head)), *notes)


def durability(rows: Rows) -> list[str]:
    """What rounding and relearning bring back; [] if neither was measured."""
    if not rows.measured("int8.forget_nll_gap") and not rows.measured("relearning.adapter"):
        return []
    head = ["method"]
    for name in _ROUNDINGS:
        head += [f"{name}: forget NLL gap", f"{name}: forget R@10", f"{name}: held-out R@10"]
    steps = _last_step(rows)
    for title, _ in _RELEARNING:
        head += [f"relearning {title}: gain", f"NLL after {steps} steps", "− re-fit's"]
    body = []
    for method in rows.compared:
        row = [labelled(method)]
        for name in _ROUNDINGS:
            row += [
                spread(rows.values(method, f"{name}.{figure}"), 3)
                for figure in ("forget_nll_gap", "forget_recall@10", "test_recall@10")
            ]
        for _, trained in _RELEARNING:
            ends = last_nll(rows, method, trained)
            floor = last_nll(rows, REFIT, trained)
            apart = [ends[deletion] - floor[deletion] for deletion in ends if deletion in floor]
            row += [
                spread(rows.values(method, f"relearning.{trained}.gain"), 3),
                spread(list(ends.values()), 3),
                f"{fmean(apart):+.3f}" if apart else MISSING,
            ]
        body.append(row)
    return section(
        "Durability",
        filled(head, body),
        _DURABILITY,
    )


def last_nll(rows: Rows, method: str, trained: str) -> dict[str, float]:
    """For each deletion, the NLL after the last step of relearning."""
    return {
        row["deletion"]: row[f"relearning.{trained}"]["nll"][-1]
        for row in rows.of(method)
        if row.get(f"relearning.{trained}")
    }


def _last_step(rows: Rows) -> Any:
    curves = (row.get("relearning.adapter") for row in rows.rows)
    return next((curve["steps"][-1] for curve in curves if curve), MISSING)
