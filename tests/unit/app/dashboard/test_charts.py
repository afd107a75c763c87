"""Where the small charts put what they are given."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dashboard.charts import bars, bullet, curve, line

figures = st.floats(-1e6, 1e6)


def test_a_value_in_the_middle_of_its_band_is_drawn_there() -> None:
    chart = bullet(0.0, -2.5, 2.5, width=100.0)
    # The scale goes from -3.1 to 3.1: 12 % of the band's width are added on both sides.
    assert (chart.value, chart.zero) == (50.0, 50.0)
    assert (chart.band_from, chart.band_to) == (9.68, 90.32)


def test_an_open_side_reaches_the_end_of_the_scale() -> None:
    assert bullet(0.2, -0.1, None).band_to == 100.0
    assert bullet(0.2, None, 0.1).band_from == 0.0


def test_nothing_measured_is_no_mark() -> None:
    assert bullet(None, None, 3.0).value is None
    assert bullet(math.nan, None, 3.0).value is None
    assert bullet(None, None, None).zero is None


@given(figures, figures, figures)
def test_the_picture_agrees_with_the_gate(value: float, one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    chart = bullet(value, low, high)
    assert chart.value is not None
    assert 0.0 <= chart.band_from <= chart.band_to <= 100.0
    assert 0.0 <= chart.value <= 100.0
    if low <= value <= high:
        assert chart.band_from <= chart.value <= chart.band_to


def test_a_value_without_bound_stays_on_the_scale() -> None:
    assert bullet(math.inf, None, 3.0).value == 100.0


def test_a_curve_goes_by_value_and_leaves_out_what_gave_no_figure() -> None:
    found = curve([(4.0, 1.0), (1.0, -1.0), (2.0, None)], target=0.0, width=300.0, height=90.0)
    assert found is not None
    assert [(point.value, point.x) for point in found.points] == [(1.0, 0.0), (4.0, 300.0)]
    assert found.target == 45.0
    assert found.points[0].y > found.target > found.points[1].y
    assert curve([(2.0, None)], target=0.0) is None


def test_values_that_are_far_apart_are_drawn_by_their_logarithm() -> None:
    found = curve([(1.0, 3.0), (10.0, 2.0), (100.0, 1.0)], target=0.0, width=200.0)
    assert found is not None
    assert [point.x for point in found.points] == [0.0, 100.0, 200.0]


@pytest.mark.parametrize("figures", [[0.0, 0.0], [1.0, 4.0, 2.0]])
def test_bars_stand_on_the_ground_beside_each_other(figures: list[float]) -> None:
    drawn = bars(
        [(str(place), figure) for place, figure in enumerate(figures)],
        most=max(figures),
        width=90.0,
        height=50.0,
    )
    assert all(bar.y + bar.height == 50.0 for bar in drawn)
    assert max(bar.height for bar in drawn) == (50.0 if any(figures) else 0.0)
    for left, right in pairwise(drawn):
        assert left.x + left.width < right.x
    assert bars([], most=0.0) == []


def test_charts_that_are_compared_share_their_scale() -> None:
    small, large = bars([("a", 1.0)], most=4.0, height=80.0), bars([("a", 4.0)], most=4.0, height=80.0)
    assert (small[0].height, large[0].height) == (20.0, 80.0)


def test_a_line_is_interrupted_where_a_figure_is_missing() -> None:
    found = line([(0, 1.0), (1, 3.0), (2, None), (3, 1.0)], across=(0, 4), width=40, height=20)
    assert found is not None
    # The lone point at the end is a dash of three.
    assert found.pieces == ["0.0,20.0 10.0,0.0", "30.0,20.0 33.00,20.0"]
    assert line([(0, None)], across=(0, 1)) is None


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_scale() -> None:
    points = [(0, 0.01), (1, 0.1), (2, 1.0)]
    found = line(points, across=(0, 2), range_=(0.01, 1.0), logarithmic=True, width=2, height=10)
    assert found is not None
    assert found.pieces == ["0.0,10.0 1.0,5.0 2.0,0.0"]
