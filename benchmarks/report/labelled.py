"""The tables of a paper where events have labels: how well they are told, and how far a re-fit is."""

from __future__ import annotations

from benchmarks.report.cells import MISSING, filled, number, section, significant_spread, spread, table
from benchmarks.report.measured import REFIT, Rows, against_controls, labelled

_OWN = (
    ("forget AUC", "forget_auc", 3),
    ("forget ACC", "forget_accuracy", 3),
    ("forget log-loss", "forget_log_loss", 3),
    ("JSD to re-fits", "jsd", 4),
    ("symmetric KL", "symmetric_kl", 4),
    ("L2", "l2", 4),
    ("held-out AUC", "held_out_auc", 3),
    ("held-out ACC", "held_out_accuracy", 3),
    ("held-out log-loss", "held_out_log_loss", 3),
)
_OWN_NOTE = (
    "The re-fit's row is the aim in every column. *Forget*: the training events of those who are forgotten; "
    "*held-out*: the last two events of each of the others, which no adapter was trained on. The released code's JSD "
    "is half of the two KL divergences, in the column *symmetric KL*; ours is that to the mixture. Distances are over "
    "yes and no, the paper's over the whole vocabulary. *popularity* is an item's share of likes among those who stay."
)
_GATE_NOTE = (
    "*Held-out change* is that of AUC - 0.5, in shares of the original's. Configurations were found with item tokens; "
    "nothing was tuned on this style. Distance: see the [overview](README.md)."
)


def labelled_rows(rows: Rows) -> bool:
    """Whether the events of these rows have labels, and no ranks."""
    return rows.measured("forget_auc")


def label_sections(rows: Rows) -> list[str]:
    """The paper's measures for every row, then the distances and what the gate says."""
    return [
        *section("Its measures, of everything that we have", _measures(rows), _OWN_NOTE),
        *section("Beside re-fits and controls", _beside_refits(rows), _GATE_NOTE),
    ]


def _measures(rows: Rows) -> list[str]:
    body = [
        [
            labelled(method),
            *(spread(rows.values(method, figure), digits) for _, figure, digits in _OWN),
            significant_spread(rows.values(method, "seconds"), 3)
            if rows.values(method, "forwards")
            else MISSING,
        ]
        for method in rows.methods
    ]
    return filled(["method", *(title for title, _, _ in _OWN), "seconds"], body)


def _beside_refits(rows: Rows) -> list[str]:
    floor, body = rows.mean(REFIT, "distance"), []
    for method in rows.methods:
        own = rows.mean(method, "distance")
        counts = [rows.values(method, f"subjects_{what}") for what in ("passed", "failed", "inconclusive")]
        unable = any("error" in row for row in rows.of(method))
        body.append(
            [
                labelled(method),
                spread(rows.values(method, "forget_nll_gap_signed"), 3),
                spread(rows.values(method, "retained_member_auc"), 3),
                spread(rows.values(method, "held_out_change"), 3),
                spread(rows.values(method, "distance"), 3),
                number(own / floor, 2) if own is not None and floor else MISSING,
                "cannot edit it" if unable else against_controls(rows, method),
                " / ".join(str(round(sum(count))) for count in counts) if all(counts) else MISSING,
            ]
        )
    head = [
        "method",
        "forget NLL − re-fits",
        "retained own AUC",
        "held-out change",
        "distance (nats)",
        "× floor",
        "beats",
        "passed / failed / inconclusive",
    ]
    return table(head, body)
