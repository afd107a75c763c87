import math

import pytest
import torch

from unlearning import EvaluationConfig
from unlearning.evaluation.held_out import held_out_loss
from unlearning.evaluation.reading import Reading


def reading(*nll: float) -> Reading:
    return Reading(torch.tensor(nll), torch.ones(len(nll), dtype=torch.int64))


def test_only_the_last_two_items_of_each_user_count() -> None:
    before = [reading(9.0, 1.0, 1.0), reading(9.0, 2.0, 4.0), reading(0.0, 1.0, 1.0)]
    after = [reading(0.0, 2.0, 2.0), reading(5.0, 2.0, 4.0), reading(7.0, 3.0, 1.0)]
    found = held_out_loss(before, after, EvaluationConfig(smoothing=0.0), items=10)
    # Users' means rise by 1, 0 and 1.
    assert found.users == 3
    assert found.mean == pytest.approx(2 / 3)
    assert found.standard_error == pytest.approx(math.sqrt(1 / 3) / math.sqrt(3))


def test_losses_are_smoothed() -> None:
    before, after = [reading(0.0, 0.0)] * 2, [reading(math.inf, math.inf)] * 2
    found = held_out_loss(before, after, EvaluationConfig(smoothing=0.2), items=10)
    assert found.mean == pytest.approx(math.log(0.82 / 0.02))
    assert found.standard_error == 0.0
