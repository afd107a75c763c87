"""The area under the curve, its components and log-odds, by hand."""

import math

import pytest
import torch

from recommender.pointwise import area_under_curve, components, log_odds


def test_the_area_under_the_curve_by_hand():
    # Pairs: 2 > 1, 2 = 2 (half), 2 < 3; 4 beats all three: (1 + 0.5 + 3) / 6.
    assert area_under_curve(torch.tensor([2.0, 4.0]), torch.tensor([3.0, 1.0, 2.0])) == pytest.approx(0.75)
    assert area_under_curve(torch.tensor([1.0]), torch.tensor([1.0])) == 0.5


def test_components_are_shares_of_the_other_label_and_their_means_are_the_area():
    scores = torch.tensor([2.0, 3.0, 4.0, 1.0, 2.0])
    liked = torch.tensor([True, False, True, False, False])
    found = components(scores, liked)
    # 2 beats 1, ties with 2 and loses to 3; 4 beats all. 3 is below one of two; 1 below both; 2 below 4 and half of 2.
    assert found.tolist() == pytest.approx([0.5, 0.5, 1.0, 1.0, 0.75])
    area = area_under_curve(scores[liked], scores[~liked])
    assert float(found[liked].mean()) == pytest.approx(area)
    assert float(found[~liked].mean()) == pytest.approx(area)


def test_log_odds_by_hand():
    nll = torch.tensor([math.log(4), math.log(4), math.log(2), 50.0, 0.0])
    liked = torch.tensor([True, False, True, True, True])
    # p of the true label is a quarter: ln(1/3), of which the sign turns for a disliked one.
    expected = [-math.log(3), math.log(3), 0.0, -50.0, math.inf]
    assert log_odds(nll, liked).tolist() == pytest.approx(expected, abs=1e-6)
