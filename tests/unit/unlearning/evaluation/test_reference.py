import math

import pytest
import torch

from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.matching import Covariates
from unlearning.evaluation.reference import NonMemberReference, RetainedGains, variance_components


def covariates(positions: list[int], popularity: int = 3) -> Covariates:
    return Covariates(torch.tensor(positions), torch.tensor([popularity] * len(positions)))


def reference(held_out: list[list[float]], members: list[list[float]], bins: int = 1) -> NonMemberReference:
    """Users whose held-out items follow their training items; all items equally popular."""
    at = [position for own in members for position in (len(own), len(own) + 1)]
    return NonMemberReference.fit(
        RetainedGains(
            torch.tensor(held_out, dtype=torch.float64),
            covariates(at),
            [torch.tensor(own, dtype=torch.float64) for own in members],
            [covariates(list(range(len(own)))) for own in members],
        ),
        bins,
    )


def components(gains: list[list[float]], levels: list[float]) -> tuple[float, float]:
    tensors = [torch.tensor(own, dtype=torch.float64) for own in gains]
    return variance_components(tensors, torch.tensor(levels, dtype=torch.float64))


def test_variance_components_by_hand() -> None:
    # Users at 1 and 3 around 2, without any spread of their own: all variance lies between them.
    assert components([[1.0, 1.0], [3.0, 3.0]], [2.0, 2.0]) == pytest.approx((1.0, 0.0))
    # Items at 0 and 2 for everybody: sample variance 2, and means that do not differ at all.
    assert components([[0.0, 2.0], [0.0, 2.0]], [1.0, 1.0]) == (0.0, 2.0)
    # Means 1 and 5 around 3 (spread 4), own variances 2 over two items each: 4 - 2 / 2.
    assert components([[0.0, 2.0], [4.0, 6.0]], [3.0, 3.0]) == pytest.approx((3.0, 2.0))
    # What the level of the class explains does not count as a difference between users.
    assert components([[1.0, 1.0], [3.0, 3.0]], [1.0, 3.0]) == (0.0, 0.0)


def test_one_item_per_user_says_nothing_about_their_own_spread() -> None:
    assert components([[1.0], [3.0]], [2.0, 2.0]) == pytest.approx((1.0, 0.0))


# Held-out gains 2 on average, residuals (1, 1) and (-1, -1); training gains 1 and 3 more than that.
SPREAD = reference([[3.0, 3.0], [1.0, 1.0]], [[3.0, 3.0], [5.0, 5.0]])
# Held-out items all alike; training items scatter by 2 around 1 more.
SCATTER = reference([[2.0, 2.0], [2.0, 2.0]], [[2.0, 4.0], [2.0, 4.0]])


def test_the_expectation_is_that_of_held_out_items() -> None:
    assert SPREAD.expected(covariates([0, 99])).tolist() == pytest.approx([2.0, 2.0])
    assert SPREAD.residuals.tolist() == pytest.approx([1.0, 1.0, -1.0, -1.0])
    assert SPREAD.mean_variance == pytest.approx(0.5)
    assert SCATTER.mean_variance == pytest.approx(0.0)


def test_memory_is_what_training_items_gain_beyond_it() -> None:
    assert SPREAD.memory_of(2) == pytest.approx(2.0)
    assert SCATTER.memory_of(50) == pytest.approx(1.0)
    assert (SPREAD.between, SPREAD.within) == pytest.approx((1.0, 0.0))
    assert (SCATTER.between, SCATTER.within) == pytest.approx((0.0, 2.0))


def test_memory_depends_on_how_much_there_is_to_remember() -> None:
    # Twenty users with two items are remembered by 3, twenty with four items by 1.
    few, many = [[3.0, 3.0]] * 20, [[1.0, 1.0, 1.0, 1.0]] * 20
    found = reference([[0.0, 0.0]] * 40, [*few, *many])
    assert found.memory_of(1) == found.memory_of(2) == found.memory_of(3) == pytest.approx(3.0)
    assert found.memory_of(4) == found.memory_of(500) == pytest.approx(1.0)
    assert found.between == pytest.approx(0.0)


def test_the_deviation_of_a_mean_by_hand() -> None:
    assert SCATTER.deviation([8]) == pytest.approx(math.sqrt(2 / 8))
    # Two subjects of 4 and 8 items: (2/4 + 2/8) / 4.
    assert SCATTER.deviation([4, 8]) == pytest.approx(math.sqrt(0.75 / 4))
    # Between only: more items do not help, more subjects do.
    assert SPREAD.deviation([1000]) == pytest.approx(math.sqrt(1 + 0.5))
    assert SPREAD.deviation([1, 1]) == pytest.approx(math.sqrt(0.5 + 0.5))


def test_like_is_compared_with_like() -> None:
    # Users with short histories gain 1 on held-out items, those with long ones 5.
    short, long = [[9.0] * 10] * 20, [[9.0] * 50] * 20
    found = reference([[1.0, 1.0]] * 20 + [[5.0, 5.0]] * 20, [*short, *long], bins=2)
    assert found.expected(covariates([0, 11, 49, 50, 300])).tolist() == pytest.approx([1, 1, 1, 5, 5])
    assert float(found.residuals.abs().max()) < 1e-9


def test_a_reference_needs_two_users_with_items() -> None:
    with pytest.raises(InvalidEvaluation, match="two held-out items of at least two users"):
        reference([[1.0, 2.0]], [[3.0]])
    with pytest.raises(InvalidEvaluation, match="every retained user"):
        RetainedGains(torch.zeros(2, 2), covariates([1, 2, 1, 2]), [torch.zeros(1)], [covariates([0])])
