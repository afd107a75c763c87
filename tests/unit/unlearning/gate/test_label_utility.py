"""Utility of a style with labels: the change of AUC - 0.5, with bounds that a few events cannot make narrow."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.unit.unlearning.examples import POLICY, report
from unlearning import utility_change
from unlearning.evaluation.report import HeldOutAuc, HeldOutLoss
from unlearning.gate.utility import AUC, utility_reasons
from unlearning.gate.verdict import Reason
from unlearning.levels.student_t import quantile


def judged(
    parent: float | None, candidate: float | None, error: float = 0.001, events: int = 2000
) -> tuple[Reason, float | None]:
    auc = HeldOutAuc(parent, candidate, error, events, events, events)
    made = report(utility=(), auc=auc, held_out=HeldOutLoss(0.0, 0.5, 400))
    reason, _ = utility_reasons(made, POLICY)
    assert reason.measure == AUC
    return reason, utility_change(made)


@pytest.mark.parametrize(
    ("candidate", "error", "passed"),
    [
        (0.7, 0.001, True),
        (0.72, 0.001, True),
        # A tenth of what the parent adds to chance is 0.02.
        (0.685, 0.001, True),
        (0.67, 0.001, False),
        (0.69, 0.01, None),
    ],
)
def test_a_tenth_of_what_the_parent_adds_to_chance_may_be_lost(
    candidate: float, error: float, passed: bool | None
) -> None:
    reason, change = judged(0.7, candidate, error)
    assert reason.passed is passed
    assert reason.value == change == pytest.approx((candidate - 0.7) / 0.2)
    assert reason.low == -0.1


def test_a_few_events_that_all_stayed_exclude_no_loss() -> None:
    reach = quantile(0.95, 29) * (0.7 / 30) / 0.2
    reason, _ = judged(0.7, 0.7, 0.0, events=30)
    assert reason.passed is None
    assert f"{-reach:+.3f}" in reason.detail
    assert judged(0.7, 0.7, 0.0, events=100)[0].passed


@pytest.mark.parametrize(
    ("parent", "words"),
    [(None, "one label"), (0.5, "no better than chance"), (0.45, "no better than chance: 0.450")],
)
def test_what_cannot_be_told_is_not_judged(parent: float | None, words: str) -> None:
    reason, change = judged(parent, parent)
    assert (reason.passed, reason.value) == (None, None)
    assert words in reason.detail
    # The likelihoods say it instead.
    assert change == pytest.approx(math.expm1(0.0))


def test_a_ranking_of_labels_that_cannot_be_told_does_not_bind_where_likelihoods_pass() -> None:
    made = report(
        utility=(), auc=HeldOutAuc(0.7, 0.7, 0.0, 30, 30, 30), held_out=HeldOutLoss(0.0, 0.001, 400)
    )
    ranking, likelihood = utility_reasons(made, POLICY)
    assert (ranking.passed, ranking.binding, likelihood.passed) == (None, False, True)
    worse = replace(made, auc=HeldOutAuc(0.7, 0.67, 0.0, 30, 30, 30))
    assert utility_reasons(worse, POLICY)[0].binding
