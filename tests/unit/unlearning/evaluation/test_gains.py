import math

import pytest
import torch

from unlearning.evaluation.gains import smoothed


def test_smoothing_by_hand_and_its_bound() -> None:
    nll = torch.tensor([0.0, math.log(2), 80.0])
    assert smoothed(nll, 0.0, 10).tolist() == pytest.approx(nll.tolist())
    # p = 1, 1/2 and about 0, mixed half and half with 1/10.
    expected = [-math.log(0.55), -math.log(0.3), -math.log(0.05)]
    assert smoothed(nll, 0.5, 10).tolist() == pytest.approx(expected)
