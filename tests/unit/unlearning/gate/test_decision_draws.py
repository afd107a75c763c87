"""Which refusals of an exact fit depend on its draw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.unlearning.examples import POLICY, report, subject
from unlearning import decide, refused_by_draw
from unlearning.evaluation.report import PairedOutcome

LOSS = (PairedOutcome(1.0, 0.0, 200), PairedOutcome(1.0, 1.0, 200))
# Beyond what chance explains for an exact method.
FAR_OUT = 2 * POLICY.exact_alarm_z


@pytest.mark.parametrize(
    ("changes", "by_draw"),
    [
        ({}, False),
        ({"utility": LOSS}, True),
        ({"run": subject(FAR_OUT)}, False),
        ({"utility": LOSS, "run": subject(FAR_OUT)}, False),
    ],
    ids=["nothing", "the others", "the subjects", "both"],
)
def test_only_what_it_does_for_the_others_is_its_draw(changes: dict[str, object], by_draw: bool) -> None:
    verdict = decide(report(**changes), POLICY)  # type: ignore[arg-type]
    assert refused_by_draw(verdict, POLICY) is by_draw


def test_what_cannot_be_told_is_not_told_by_another_seed() -> None:
    strict = replace(POLICY, exact_may_publish_unproven=False)
    few = decide(report(utility=(PairedOutcome(1.0, 1.0, 3),)), strict)
    assert few.run_decision == "inconclusive"
    assert not refused_by_draw(few, strict)


def test_a_verdict_of_another_policy_says_nothing() -> None:
    verdict = decide(report(utility=LOSS), POLICY)
    assert not refused_by_draw(verdict, replace(POLICY, name="another"))
