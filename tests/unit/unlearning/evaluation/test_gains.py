import math

import pytest
import torch

from unlearning.evaluation.gains import area_under_curve, smoothed


def test_the_area_under_the_curve_by_hand() -> None:
    # Pairs: 2 > 1, 2 = 2 (half), 2 < 3; 4 beats all three: (1 + 0.5 + 3) / 6.
    assert area_under_curve(torch.tensor([2.0, 4.0]), torch.tensor([3.0, 1.0, 2.0])) == pytest.approx(0.75)
    assert area_under_curve(torch.tensor([1.0]), torch.tensor([1.0])) == 0.5


def test_smoothing_by_hand_and_its_bound() -> None:
    nll = torch.tensor([0.0, math.log(2), 80.0])
    assert smoothed(nll, 0.0, 10).tolist() == pytest.approx(nll.tolist())
    # p = 1, 1/2 and about 0, mixed half and half with 1/10.
    expected = [-math.log(0.55), -math.log(0.3), -math.log(0.05)]
    assert smoothed(nll, 0.5, 10).tolist() == pytest.approx(expected)
