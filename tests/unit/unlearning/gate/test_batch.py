"""The evidence on several subjects as one, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unlearning.evaluation.report import MeanGain, NeverSeenGain, SubjectEvidence
from unlearning.gate.batch import together

FIRST = SubjectEvidence(
    index=0,
    items=3,
    candidate=MeanGain(1.0, 2.0, 3.0),
    parent=MeanGain(4.0, 5.0, 6.0),
    memory=1.0,
    memory_scale=3.0,
    share_matched=0.5,
    position_distance=2.0,
    never_seen=NeverSeenGain(expected=1.0, deviation=0.3, seen=2.0),
)
SECOND = SubjectEvidence(
    index=1,
    items=5,
    candidate=MeanGain(3.0, 4.0, 5.0),
    parent=MeanGain(8.0, 7.0, 6.0),
    memory=2.0,
    memory_scale=4.0,
    share_matched=1.0,
    position_distance=1.0,
    never_seen=NeverSeenGain(expected=2.0, deviation=0.4, seen=5.0),
)


def test_means_are_means_and_deviations_that_vary_by_themselves_shrink() -> None:
    found = together([FIRST, SECOND])
    assert found is not None
    # It is nobody's place in the run.
    assert (found.index, found.items) == (-1, 8)
    assert (found.candidate, found.parent) == (MeanGain(2.0, 3.0, 4.0), MeanGain(6.0, 6.0, 6.0))
    assert (found.memory, found.share_matched, found.position_distance) == (1.5, 0.75, 1.5)
    # The roots of 9 + 16 and of 0.09 + 0.16, halved.
    assert found.memory_scale == 2.5
    known = found.never_seen
    assert known is not None
    assert (known.expected, known.deviation, known.seen) == (1.5, pytest.approx(0.25), 3.5)


def test_one_alone_and_one_whose_level_is_not_known_are_nobody_together() -> None:
    assert together([FIRST]) is None
    assert together([FIRST, replace(SECOND, never_seen=None)]) is None
