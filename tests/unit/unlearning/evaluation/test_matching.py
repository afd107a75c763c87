import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearning.evaluation.matching import Covariates, Matching, quantile_edges


def covariates(positions: list[int], popularity: list[int] | None = None) -> Covariates:
    return Covariates(torch.tensor(positions), torch.tensor(popularity or [3] * len(positions)))


# Forty reference items at positions 10 and 11, forty at 50 and 51: two bins of either.
TWO = Matching.of(covariates([10, 11] * 20 + [50, 51] * 20, ([1] * 20 + [9] * 20) * 2), bins=2)


def test_items_fall_into_bins_of_position_and_popularity() -> None:
    assert TWO.position_edges.tolist() == [50.0]
    assert TWO.popularity_edges.tolist() == [9.0]
    design = TWO.design(covariates([0, 49, 50, 300], [0, 9, 8, 30]))
    assert design.tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]


def test_the_quality_of_a_match_is_the_distance_to_the_reference() -> None:
    quality = TWO.quality(covariates([10, 51, 8, 54, 20]))
    # Distances 0, 0, 2, 3 and 9 (20 falls into the first bin, which ends at 11).
    assert quality.share_matched == pytest.approx(0.4)
    assert quality.mean_distance == pytest.approx(14 / 5)


def test_few_items_get_few_bins() -> None:
    assert Matching.of(covariates(list(range(24))), bins=5).position_edges.tolist() == []
    assert len(Matching.of(covariates(list(range(100))), bins=5).position_edges) == 4
    # Equal values cannot be divided.
    assert Matching.of(covariates([7] * 100), bins=5).position_edges.tolist() == []


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80), st.integers(1, 8))
def test_no_bin_is_ever_empty(values: list[int], bins: int) -> None:
    edges = quantile_edges(torch.tensor(values), bins)
    bin_of = torch.bucketize(torch.tensor(values).double(), edges, right=True)
    assert set(bin_of.tolist()) == set(range(len(edges) + 1))
    assert len(edges) < bins
