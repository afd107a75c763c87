"""Collateral damage, measured on the retained users who share most items with the subjects.

What a method removes of a subject it also removes of similar users. A mean over all retained users hides that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from unlearning.attacks.neighbours import nearest_users
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.metrics import HELD_OUT
from unlearning.evaluation.reading import Reading
from unlearning.evaluation.report import NeighbourEvidence

# With many subjects everybody is near one; a mean over more users than this is hardly more precise.
_MOST, _LEAST = 200, 10


def nearest_retained(
    subjects: Sequence[Sequence[int]], retained: Sequence[Sequence[int]], k: int
) -> tuple[tuple[int, ...], ...]:
    """Indices of the retained users nearest to each subject, ascending: `k` per subject, fewer for many subjects.

    `retained` are their training sequences. Users are near if they share items, see `unlearning.attacks.neighbours`.
    All subjects together get at most 200, but each at least ten of its own: a subject who is split out of the run takes
    its neighbours along.
    """
    each = min(k, max(_LEAST, _MOST // len(subjects)), len(retained))
    if each == 0:
        return tuple(() for _ in subjects)
    return tuple(tuple(sorted(near)) for near in nearest_users(subjects, retained, each).tolist())


def neighbour_evidence(
    parent: Sequence[Reading], candidate: Sequence[Reading], config: EvaluationConfig, items: int
) -> NeighbourEvidence | None:
    """The neighbours' losses from the candidate, by both models' readings of whole histories; None without neighbours.

    `items` is the size of the catalogue.
    """
    if not candidate:
        return None
    losses = [
        smoothed(after.nll, config.smoothing, items) - smoothed(before.nll, config.smoothing, items)
        for before, after in zip(parent, candidate, strict=True)
    ]
    training = [float(own[:-HELD_OUT].mean()) for own in losses]
    return NeighbourEvidence(
        users=len(losses),
        training=fmean(training),
        held_out=fmean(float(own[-HELD_OUT:].mean()) for own in losses),
        standard_error=stdev(training) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0,
    )
