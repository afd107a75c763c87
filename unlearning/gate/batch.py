"""Evidence on several subjects together, where no single one can be distinguished from a never-member.

One short history says little, ten of them say more: their levels vary independently, so the variance of the mean is a
tenth. Pure arithmetic on a report's evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from unlearning.evaluation.report import MeanGain, NeverSeenGain, SubjectEvidence


def together(subjects: Sequence[SubjectEvidence]) -> SubjectEvidence | None:
    """The evidence of these subjects as one; None for fewer than two, or where one has no cross-fitted level.

    Levels predicted from other users share their error, so their mean is hardly more certain than one of them.
    Cross-fitted levels (`unlearning.levels.cross_fitting`) share only the error that is left after the correction for
    adapters fitted on fewer users. The policy's `reference_error`, which does not shrink with the number of subjects,
    covers that error. It is about twice as large for adapters fitted on samples of the users as for those fitted on
    halves (`lethe bench levels`), and always in the direction of more forgetting.
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
    """Mean of the gains. The mean of the deviations is an upper bound: it is exact if all errors are equal."""
    return MeanGain(
        gain=fmean(one.gain for one in gains),
        expected=fmean(one.expected for one in gains),
        deviation=fmean(one.deviation for one in gains),
    )
