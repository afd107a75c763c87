"""What lies just on a bound of the policy: figures that are binary fractions, so that it does lie on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.unlearning.examples import POLICY, report, subject
from unlearning import decide, publishable
from unlearning.evaluation.report import MeanGain, NeverSeenGain, SubjectEvidence
from unlearning.policy.strata import Stratum


def placed(z: float, *, seen: float = 5.0, index: int = 0, items: int = 50) -> SubjectEvidence:
    """At just this z in a band around 0 of deviation 1."""
    return replace(
        subject(index=index, items=items),
        never_seen=NeverSeenGain(expected=0.0, deviation=1.0, seen=seen),
        candidate=MeanGain(z, 0.0, 1.0),
        parent=MeanGain(5.0, 0.0, 1.0),
    )


@pytest.mark.parametrize("z", [POLICY.membership_z, -POLICY.membership_z])
def test_the_ends_of_the_band_lie_in_it(z: float) -> None:
    assert decide(report(placed(z)), POLICY).decision == "pass"


def test_a_member_at_the_end_of_the_band_tells_nothing() -> None:
    assert decide(report(placed(0.0, seen=POLICY.membership_z)), POLICY).decision == "inconclusive"


def test_those_at_the_end_of_the_band_are_judged_together() -> None:
    undecided = [placed(POLICY.membership_z, seen=1.0, index=index) for index in range(2)]
    assert decide(report(*undecided, run=placed(0.0)), POLICY).batch == (0, 1)


def test_the_alarm_itself_is_no_alarm() -> None:
    closed = replace(POLICY, strata=(Stratum(1, False), Stratum(6, True)))
    at = decide(report(placed(POLICY.exact_alarm_z, items=3)), closed)
    assert at.subjects[0].decision == "inconclusive"
    # And chance may carry an exact method's subject as far.
    open_to_all = decide(report(placed(POLICY.exact_alarm_z)), POLICY)
    assert open_to_all.subjects[0].decision == "fail"
    assert publishable(open_to_all, method_is_exact=True, policy=POLICY)
