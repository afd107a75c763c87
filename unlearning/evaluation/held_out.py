"""The retained users' loss of likelihood on held-out items, which no adapter was trained on.

NDCG@10 is what the service is for. But most users have no hit at 10, and a mean over few hits says little: with a few
hundred users even an exact re-fit cannot show that it loses less than a tenth. Likelihoods change for every user.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.metrics import HELD_OUT
from unlearning.evaluation.reading import Reading
from unlearning.evaluation.report import HeldOutLoss


def held_out_loss(
    parent: Sequence[Reading], candidate: Sequence[Reading], config: EvaluationConfig, items: int
) -> HeldOutLoss:
    """Compare both models' readings of the same whole histories, at least two; `items` is the catalogue's size."""
    losses = torch.stack(
        [
            (
                smoothed(after.nll[-HELD_OUT:], config.smoothing, items)
                - smoothed(before.nll[-HELD_OUT:], config.smoothing, items)
            ).mean()
            for before, after in zip(parent, candidate, strict=True)
        ]
    )
    return HeldOutLoss(float(losses.mean()), float(losses.std()) / math.sqrt(len(losses)), len(losses))
