import math
from dataclasses import replace

import pytest
import torch

from unlearning.evaluation.metrics import Measured, metrics, paired_outcomes, percent_drop
from unlearning.evaluation.reading import Divergence, Reading


def reading(nll: list[float], ranks: list[int]) -> Reading:
    return Reading(torch.tensor(nll), torch.tensor(ranks))


def measured(forget: list[list[int]], retained: list[list[int]]) -> Measured:
    """One subject per list of tail ranks; one retained user per list of tail ranks, validation, test."""
    subjects = tuple(reading([1.0, 3.0], ranks) for ranks in forget)
    others = tuple(reading([2.0] * len(ranks), ranks) for ranks in retained)
    return Measured(subjects, others, (), Divergence(0.25, 0.5, 2 * len(forget)))


PARENT = measured([[1, 10], [3, 8]], [[1, 20, 1], [4, 3, 10], [6, 1, 7], [30, 2, 40]])
CANDIDATE = measured([[1, 11], [30, 80]], [[2, 20, 1], [11, 3, 10], [6, 12, 70], [30, 2, 40]])


def test_every_figure_by_hand() -> None:
    found = {metric.name: metric for metric in metrics(CANDIDATE, PARENT, 0.7)}
    assert found["kl"].value == 0.25
    assert found["prediction_shift"].value == 0.5
    assert found["forget_nll"].value == 2.0
    assert found["ppl"].value == pytest.approx(math.e**2)
    assert found["forget_recall@10"].value == 0.25
    assert found["forget_mrr@5"].value == 0.25
    assert found["retained_member_recall@10"].value == 0.5
    assert found["retained_member_nll"].value == 2.0
    assert found["validation_recall@10"].value == 0.5
    assert found["test_recall@10"].value == 0.5
    assert found["test_ndcg@10"].value == pytest.approx((1 + 1 / math.log2(11)) / 4)
    # Forget recall falls from 1 to 1/4 (75 %), test recall from 3/4 to 2/4 (33.3 %).
    assert found["tradeoff@10"].value == pytest.approx(75 - 100 / 3)
    assert found["membership_auc"].value == 0.7
    assert {(m.name, m.count) for m in found.values() if m.name.endswith("recall@5")} == {
        ("forget_recall@5", 4),
        ("retained_member_recall@5", 4),
        ("validation_recall@5", 4),
        ("test_recall@5", 4),
    }


def test_each_figure_says_which_way_is_better() -> None:
    direction = {metric.name: metric.direction for metric in metrics(CANDIDATE, PARENT, 0.7)}
    assert direction["test_ndcg@10"] == direction["retained_member_recall@10"] == "higher"
    assert (
        direction["forget_recall@10"] == direction["forget_nll"] == direction["membership_auc"] == "reference"
    )
    # A re-fit scores lower on these than many edits that damage the model, so they are not goals.
    for name in ("kl", "prediction_shift", "ppl", "tradeoff@10"):
        assert direction[name] == "descriptive"


def test_a_trade_off_needs_something_to_lose() -> None:
    nothing = measured([[50]], [[1, 50, 50]])
    assert {m.name: m.value for m in metrics(nothing, nothing, 0.5)}["tradeoff@10"] is None
    assert percent_drop(0.0, 0.5) is None
    assert percent_drop(0.4, 0.1) == pytest.approx(75.0)


def test_paired_outcomes_are_counts_of_users() -> None:
    outcomes = paired_outcomes(PARENT, CANDIDATE)
    assert sum(outcome.count for outcome in outcomes) == 4
    assert sum(outcome.parent * outcome.count for outcome in outcomes) / 4 == pytest.approx(
        (1 / 2 + (1 / 2 + 1 / math.log2(11)) / 2 + (1 + 1 / 3) / 2 + 1 / math.log2(3) / 2) / 4
    )
    # Users with equal outcomes share a row, so the order of users cannot be recovered.
    assert list(outcomes) == sorted(outcomes, key=lambda outcome: (outcome.parent, outcome.candidate))
    same = paired_outcomes(measured([[1]], [[1, 50, 50]] * 3), measured([[1]], [[1, 50, 50]] * 3))
    assert [(outcome.parent, outcome.count) for outcome in same] == [(0.0, 3)]


def test_a_perplexity_that_no_double_holds_is_no_figure() -> None:
    loud = replace(PARENT, subjects=(reading([800.0], [40]),))
    found = {metric.name: metric.value for metric in metrics(loud, PARENT, 0.5)}
    assert (found["forget_nll"], found["ppl"]) == (800.0, None)
