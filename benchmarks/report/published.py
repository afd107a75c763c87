"""Figures of the U-CAN paper (arXiv 2602.23400), ML-100k, for a look side by side.

Second-hand: the paper's body was not available to us. The figures are transcribed from two summaries of its tables 1
to 3 that others published, which agree on these and disagree on some of the other data set's; nobody has checked them
against the paper. Its figures 3 (time, throughput) and 4 (threshold) are known by their captions only.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "arXiv 2602.23400, tables 1 to 3, ML-100k, transcribed at second hand"


@dataclass(frozen=True)
class Published:
    """One row of the paper and the row of ours that answers it; None is not published."""

    title: str
    row: str
    tradeoff: float | None
    forget_recall: float | None
    retain_recall: float | None
    kl: float | None
    ppl: float | None


MAIN = (
    Published("Retrain", "refit", 13.94, 0.1999, 0.1131, None, None),
    Published("GA", "gradient_ascent", -3.82, 0.2303, 0.1030, 0.00, 18.91),
    Published("NPO", "npo", -4.30, 0.2248, 0.1030, 0.00, 18.90),
    Published("LLM-Eraser", "llm_eraser", 17.49, 0.1714, 0.1032, 0.11, 21.86),
    Published("U-CAN", "ucan", 29.45, 0.1435, 0.1098, 0.13, 23.83),
)
# Ablations come with KL and the two recalls only; the perplexities we have are of the other data set.
ABLATION = (
    Published("U-CAN", "ucan", None, 0.1435, 0.1098, 0.13, None),
    Published("without C (contrast)", "ucan_without_contrast", None, 0.1502, 0.0770, 0.01, None),
    Published("without F (utility)", "ucan_without_utility", None, 0.2070, 0.1197, 0.06, None),
    Published("without H (hard pruning)", "ucan_without_soft", None, 0.1536, 0.0820, 0.08, None),
)
