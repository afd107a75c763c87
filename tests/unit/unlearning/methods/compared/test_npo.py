import math

import pytest

from recommender import Adapter
from tests.unit.unlearning.methods.whole_sets import (
    WHOLE,
    distance,
    first_loss,
    forget_batch,
    logits,
    nll,
    retain_batch,
)
from unlearning import ForgetTask
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.gradient_difference import GradientDifference, GradientDifferenceConfig
from unlearning.methods.compared.npo import Npo, NpoConfig
from unlearning.methods.shared import losses
from unlearning.methods.shared.losses import LikelihoodUnit


@pytest.mark.parametrize("unit", ["item", "sequence"])
@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_it_starts_at_two_over_beta_times_ln_2(task: ForgetTask, unit: LikelihoodUnit, beta: float) -> None:
    # At the parent every log-ratio is 0, so every term is -(2 / beta) log sigmoid(0).
    config = NpoConfig(steps=1, batch_size=WHOLE, beta=beta, unit=unit, forget_weight=0.5, retain_weight=2.0)
    held = 2.0 * nll(task, task.adapter, retain_batch(task))
    assert first_loss(Npo(config), task) == pytest.approx(0.5 * 2 / beta * math.log(2) + held, rel=1e-5)


@pytest.mark.parametrize(("unit", "beta"), [("item", 1.0), ("sequence", 0.1)])
def test_it_lowers_its_own_objective(task: ForgetTask, unit: LikelihoodUnit, beta: float) -> None:
    forget, retain = forget_batch(task), retain_batch(task)
    reference = losses.log_likelihoods(logits(task, task.adapter, forget), forget.targets, unit)

    def objective(adapter: Adapter) -> float:
        policy = losses.log_likelihoods(logits(task, adapter, forget), forget.targets, unit)
        return losses.negative_preference(policy, reference, beta).item() + nll(task, adapter, retain)

    edited = Npo(NpoConfig(steps=8, lr=2e-3, unit=unit, beta=beta)).run(task).adapter
    assert objective(edited) < objective(task.adapter) - 0.05


def test_the_first_step_is_gradient_differences(task: ForgetTask) -> None:
    # The weight 2 pi^beta / (pi^beta + pi_ref^beta) is 1 at the parent, whatever beta.
    difference = GradientDifference(GradientDifferenceConfig(steps=1)).run(task).adapter
    for beta in (0.5, 5.0):
        step = Npo(NpoConfig(steps=1, beta=beta)).run(task).adapter
        assert distance(step, difference) < 0.01 * distance(difference, task.adapter)


def test_a_large_beta_lets_go_early(task: ForgetTask) -> None:
    forget = forget_batch(task)
    reached = [
        nll(task, Npo(NpoConfig(steps=10, lr=5e-3, retain_weight=0.0, beta=beta)).run(task).adapter, forget)
        for beta in (0.1, 5.0)
    ]
    assert reached[0] > reached[1] + 0.1 > nll(task, task.adapter, forget)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta must be positive"),
        ({"beta": math.nan}, "beta must be positive"),
        ({"unit": "token"}, "choose one of item, sequence"),
        ({"forget_weight": -1.0}, "at least 0"),
    ],
)
def test_the_configuration_is_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        NpoConfig(**change)  # type: ignore[arg-type]
