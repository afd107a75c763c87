"""When a re-fit counts as near, with figures computed by hand."""

import json
import math

import pytest
import torch

from recommender import Adapter, Base, DataError, Split, attach, leave_two_out
from recommender.likeness import Difference, Measured, compare, gain, measure


def measured(training: float, held_out: float, spread: float = 0.0, rank: int = 1) -> Measured:
    """Four users whose NLL lie `spread` to either side of the mean."""
    around = torch.tensor([-spread, spread, -spread, spread], dtype=torch.float64)
    return Measured(training + around, held_out + around, torch.tensor([rank] * 4))


BASE = measured(6.0, 6.0)
OPERATOR = measured(4.0, 5.0)  # adds 2 nats on training events, 1 on held-out ones


@pytest.mark.parametrize(
    ("training", "held_out", "reason"),
    [
        (4.0, 5.0, None),
        (4.19, 5.19, None),
        (3.81, 4.0, None),  # predicting the next events better is no harm
        (4.21, 5.0, "it remembers less of them (+0.21 nats per event, allowed ±0.20)"),
        (3.79, 5.0, "it remembers more of them (-0.21 nats per event, allowed ±0.20)"),
        (4.0, 5.21, "it predicts their last events worse (+0.21 nats per event, allowed +0.20)"),
    ],
)
def test_near_is_within_a_share_of_what_the_adapter_adds(
    training: float, held_out: float, reason: str | None
):
    found = compare(BASE, OPERATOR, measured(training, held_out))
    assert found.near == (reason is None)
    if reason is not None:
        assert found.reasons == (reason,)


def test_the_spread_over_users_is_allowed_for():
    # Paired differences of 0.3 ± 0.3: a standard deviation of 0.3464 over four users, a standard error of 0.1732.
    found = compare(BASE, OPERATOR, measured(4.3, 5.0, spread=0.3))
    assert found.training.error == pytest.approx(0.3 * math.sqrt(4 / 3) / 2)
    assert found.training.allowed == pytest.approx(0.1 * 2 + 2 * found.training.error)
    assert found.near


def test_an_adapter_that_learnt_nothing_but_its_users_is_measured_by_that():
    # A quarter of two nats, instead of nothing at all.
    overfitted = measured(4.0, 7.0)
    assert compare(BASE, overfitted, measured(4.0, 7.09)).near
    assert not compare(BASE, overfitted, measured(4.0, 7.11)).near


def test_the_figures_are_means_and_json():
    found = compare(BASE, OPERATOR, measured(4.0, 5.0, rank=11))
    assert (found.operator.recall_at_10, found.operator.ndcg_at_10) == (1.0, 1.0)
    assert (found.refit.recall_at_10, found.refit.ndcg_at_10) == (0.0, 0.0)
    plain = json.loads(json.dumps(found.to_plain()))
    assert plain["near"] is True
    assert plain["users"] == 4
    assert plain["base"]["training_nll"] == 6.0


@pytest.mark.parametrize(
    ("mean", "error", "clear"),
    [
        (0.5, 0.1, True),
        (0.31, 0.1, True),
        (0.29, 0.1, False),
        (-0.5, 0.0, False),
        (0.1, 0.0, True),
        (0.0, 0.0, False),
    ],
)
def test_a_gain_is_clear_beyond_three_errors(mean: float, error: float, clear: bool):
    assert Difference(mean, error).clear_gain == clear


def test_one_user_has_no_spread():
    one = Measured(torch.tensor([6.0]), torch.tensor([6.0]), torch.tensor([3]))
    other = Measured(torch.tensor([5.0]), torch.tensor([5.0]), torch.tensor([3]))
    assert gain(one, other) == Difference(1.0, 0.0)
    assert compare(one, other, other).near


def test_users_are_read_as_training_and_serving_read_them(
    base: Base, adapter: Adapter, sequences: list[list[int]]
):
    users = [leave_two_out(sequence) for sequence in sequences]
    found = measure(attach(base, adapter), base.style, users)
    assert len(found.training_nll) == len(found.ranks) == len(users)
    assert gain(measure(base.model, base.style, users), found).clear_gain
    with pytest.raises(DataError):
        measure(base.model, base.style, [])
    with pytest.raises(DataError):
        measure(base.model, base.style, [Split((), 1, 2)])
