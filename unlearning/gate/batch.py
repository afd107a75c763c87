"""Evidence on several subjects together, none of whom can be told from a never-member alone.

A short history says little, ten short histories say more: the level of each varies for itself, so that of their mean
varies by a tenth of the variance. Pure arithmetic on a report's evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from unlearning.evaluation.report import MeanGain, NeverSeenGain, SubjectEvidence


def together(subjects: Sequence[SubjectEvidence]) -> SubjectEvidence | None:
    """The evidence of these subjects as one; None for fewer than two, or where the level of one is not known.

    Levels that are predicted from other users share their error, so a mean of them is hardly better known than one.
    Those of cross-fitted adapters (`unlearning.levels.cross_fitting`) share only what the correction for what halves
    know less leaves; the policy's `reference_error`, which does not shrink with the number of subjects, stands for
    that. Of samples of the users it leaves about twice as much (`lethe bench levels`), all of it towards more
    forgetting.
    """
    known = [subject.never_seen for subject in subjects if subject.never_seen is not None]
    if len(subjects) < 2 or len(known) < len(subjects):
        return None
    return SubjectEvidence(
        index=-1,
        items=sum(subject.items for subject in subjects),
        candidate=_mean([subject.candidate for subject in subjects]),
        parent=_mean([subject.parent for subject in subjects]),
        memory=fmean(subject.memory for subject in subjects),
        memory_scale=math.hypot(*(subject.memory_scale for subject in subjects)) / len(subjects),
        share_matched=fmean(subject.share_matched for subject in subjects),
        position_distance=fmean(subject.position_distance for subject in subjects),
        never_seen=NeverSeenGain(
            expected=fmean(level.expected for level in known),
            deviation=math.hypot(*(level.deviation for level in known)) / len(known),
            seen=fmean(level.seen for level in known),
        ),
    )


def _mean(gains: Sequence[MeanGain]) -> MeanGain:
    """Deviations are bounded from above: their mean is what they come to if all of them err alike."""
    return MeanGain(
        gain=fmean(one.gain for one in gains),
        expected=fmean(one.expected for one in gains),
        deviation=fmean(one.deviation for one in gains),
    )
