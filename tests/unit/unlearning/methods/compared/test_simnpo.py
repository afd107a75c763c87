import math

import pytest
import torch

from recommender import Adapter
from recommender.choices import IGNORED
from tests.unit.unlearning.methods.whole_sets import (
    WHOLE,
    first_loss,
    forget_batch,
    logits,
    nll,
    retain_batch,
)
from unlearning import ForgetTask
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.simnpo import SimNpo, SimNpoConfig, _lengths
from unlearning.methods.shared.losses import LikelihoodUnit


def mean_nlls(task: ForgetTask, adapter: Adapter, unit: LikelihoodUnit) -> list[float]:
    """NLL of every forget item, or its mean over each window, by another way than the method's."""
    batch = forget_batch(task)
    chances = logits(task, adapter, batch).softmax(-1)
    rows = [
        [
            -math.log(chances[row, place, item].item())
            for place, item in enumerate(batch.targets[row].tolist())
            if item != IGNORED
        ]
        for row in range(batch.rows)
    ]
    if unit == "item":
        return [value for row in rows for value in row]
    return [sum(row) / len(row) for row in rows]


def push(task: ForgetTask, adapter: Adapter, config: SimNpoConfig) -> float:
    terms = [
        2 / config.beta * math.log1p(math.exp(-config.beta * (value - config.delta)))
        for value in mean_nlls(task, adapter, config.unit)
    ]
    return sum(terms) / len(terms)


def test_a_unit_is_as_long_as_it_has_targets() -> None:
    predicted = torch.tensor([3, 0, 2])
    assert _lengths(predicted, "sequence").tolist() == [3, 2]
    assert _lengths(predicted, "item").tolist() == [1] * 5


@pytest.mark.parametrize("unit", ["item", "sequence"])
def test_its_loss_at_the_parent(task: ForgetTask, unit: LikelihoodUnit) -> None:
    config = SimNpoConfig(steps=1, batch_size=WHOLE, delta=3.0, unit=unit, retain_weight=2.0)
    held = 2.0 * nll(task, task.adapter, retain_batch(task))
    expected = 0.125 * push(task, task.adapter, config) + held
    assert first_loss(SimNpo(config), task) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unit", ["item", "sequence"])
def test_it_lowers_its_own_objective(task: ForgetTask, unit: LikelihoodUnit) -> None:
    config = SimNpoConfig(steps=8, lr=2e-3, delta=3.5, unit=unit)

    def objective(adapter: Adapter) -> float:
        return config.forget_weight * push(task, adapter, config) + nll(task, adapter, retain_batch(task))

    edited = SimNpo(config).run(task).adapter
    assert objective(edited) < objective(task.adapter) - 0.05
    assert push(task, edited, config) < push(task, task.adapter, config)


def test_the_published_delta_hardly_pushes_items_of_a_catalogue(task: ForgetTask) -> None:
    # Among 40 items the NLL is about 3.5: 2 sigmoid(-4.5 * 3.5) is below a millionth for the typical item.
    values = mean_nlls(task, task.adapter, "sequence")
    assert all(2 / (1 + math.exp(4.5 * value)) < 1e-4 for value in values)
    forget = forget_batch(task)
    pushed = [
        nll(
            task,
            SimNpo(SimNpoConfig(steps=6, lr=3e-3, delta=delta, forget_weight=1.0)).run(task).adapter,
            forget,
        )
        for delta in (0.0, 4.0)
    ]
    assert pushed[0] < pushed[1] - 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta must be positive"),
        ({"delta": math.nan}, "delta must be a finite number"),
        ({"delta": math.inf}, "delta must be a finite number"),
        ({"unit": "token"}, "choose one of item, sequence"),
        ({"retain_weight": -1.0}, "at least 0"),
    ],
)
def test_the_configuration_is_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        SimNpoConfig(**change)  # type: ignore[arg-type]
