"""Collateral damage where it shows first: among the retained users who have most in common with the subjects.

What a method takes from a subject it also takes from whoever resembles them. A mean over all retained users hides that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean

from unlearning.audit.neighbours import nearest_users, union
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.metrics import HELD_OUT
from unlearning.evaluation.reading import Reading
from unlearning.evaluation.report import NeighbourEvidence

# Many subjects are near everybody; a mean over more users than this is hardly more precise.
_MOST = 200


def nearest_retained(
    subjects: Sequence[Sequence[int]], retained: Sequence[Sequence[int]], k: int, seed: int
) -> tuple[int, ...]:
    """Places of the `k` retained users nearest to each subject, each once, ascending; at most 200, drawn with `seed`.

    `retained` are their training sequences. Near is who shares items, see `unlearning.audit.neighbours`; all users
    where there are fewer than `k`.
    """
    if k == 0:
        return ()
    near = union(nearest_users(subjects, retained, min(k, len(retained))))
    if len(near) <= _MOST:
        return near
    return tuple(sorted(random.Random(seed).sample(near, _MOST)))


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
    return NeighbourEvidence(
        users=len(losses),
        training=fmean(float(own[:-HELD_OUT].mean()) for own in losses),
        held_out=fmean(float(own[-HELD_OUT:].mean()) for own in losses),
    )
