"""Collateral damage where it shows first: among the retained users who have most in common with the subjects.

What a method takes from a subject it also takes from whoever resembles them. A mean over all retained users hides that.
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

# Many subjects are near everybody; a mean over more users than this is hardly more precise.
_MOST, _LEAST = 200, 10


def nearest_retained(
    subjects: Sequence[Sequence[int]], retained: Sequence[Sequence[int]], k: int
) -> tuple[tuple[int, ...], ...]:
    """Places of the retained users nearest to each subject, ascending: `k` each, fewer where there are many subjects.

    `retained` are their training sequences. Near is who shares items, see `unlearning.attacks.neighbours`. Together no
    more than 200 are looked at, but at least ten of each subject: whoever is taken out of the run takes their own.
    """
    each = min(k, max(_LEAST, _MOST // len(subjects)), len(retained))
    if each == 0:
        return tuple(() for _ in subjects)
    return tuple(tuple(sorted(near)) for near in nearest_users(subjects, retained, each).tolist())


def neighbour_evidence(
    parent: Sequence[Reading], candidate: Sequence[Reading], config: EvaluationConfig, items: int
) -> NeighbourEvidence | None:
    """What the candidate took from the neighbours, whose whole histories both models read; None without neighbours.

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
