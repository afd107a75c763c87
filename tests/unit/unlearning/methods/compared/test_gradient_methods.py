"""Properties of all gradient methods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Interrupted
from recommender.choices import IGNORED
from tests.unit.unlearning.methods.whole_sets import forget_batch, nll, retain_batch
from unlearning import ForgetTask, Progress, build_method

# Far enough to be seen, in few steps.
WALK = {"steps": 6, "lr": 3e-3}
METHODS = [
    ("gradient_ascent", {}),
    ("gradient_difference", {}),
    ("gradient_difference", {"retain": "divergence"}),
    ("npo", {}),
    ("npo", {"unit": "sequence", "beta": 0.1}),
    ("simnpo", {"delta": 3.5}),
    ("simnpo", {"delta": 3.5, "unit": "sequence"}),
    ("random_label", {"forget_weight": 1.0}),
    ("pcgrad", {}),
    ("pcgrad", {"scope": "tensor", "retain": "divergence"}),
]
each_method = pytest.mark.parametrize(
    ("name", "config"),
    METHODS,
    ids=["-".join(map(str, (name, *config.values()))) for name, config in METHODS],
)


@pytest.fixture(scope="module")
def task(task: ForgetTask) -> ForgetTask:
    """The small world with six retained users, for speed."""
    return replace(task, retain=task.retain[:6])


@each_method
def test_the_subjects_become_less_likely(task: ForgetTask, name: str, config: dict[str, Any]) -> None:
    edited = build_method(name, {**WALK, **config}).run(task).adapter
    forget = forget_batch(task)
    assert nll(task, edited, forget) > nll(task, task.adapter, forget) + 0.01


@each_method
def test_a_repeat_is_the_same_bit_for_bit_and_another_seed_is_not(
    task: ForgetTask, name: str, config: dict[str, Any]
) -> None:
    method = build_method(name, {"steps": 2, "batch_size": 2, **config})
    once = method.run(task)
    torch.rand(3)  # the global generator must not matter
    again = method.run(task)
    assert again.adapter.to_bytes() == once.adapter.to_bytes()
    assert replace(again.cost, seconds=0.0) == replace(once.cost, seconds=0.0)
    other = method.run(replace(task, seed=task.seed + 100))
    assert other.adapter.to_bytes() != once.adapter.to_bytes()


@each_method
def test_neither_the_base_nor_the_parent_nor_the_generator_is_touched(
    task: ForgetTask, name: str, config: dict[str, Any]
) -> None:
    base = {key: tensor.clone() for key, tensor in task.base.model.state_dict().items()}
    parent, generator = task.adapter.to_bytes(), torch.get_rng_state()
    build_method(name, {"steps": 1, **config}).run(task)
    assert task.base.model.state_dict().keys() == base.keys()
    assert all(torch.equal(tensor, base[key]) for key, tensor in task.base.model.state_dict().items())
    assert all(parameter.grad is None for parameter in task.base.model.parameters())
    assert task.adapter.to_bytes() == parent
    assert torch.equal(torch.get_rng_state(), generator)


@each_method
def test_what_is_not_marked_is_not_forgotten(task: ForgetTask, name: str, config: dict[str, Any]) -> None:
    marks = tuple(tuple(place == 0 for place in range(len(sequence))) for sequence in task.forget)
    marked = replace(task, forget_targets=marks)
    edited = build_method(name, {**WALK, **config}).run(marked).adapter
    one, every = forget_batch(marked), forget_batch(task)
    assert int((one.targets != IGNORED).sum()) == len(task.forget)
    gain = nll(task, edited, one) - nll(task, task.adapter, one)
    assert gain > 0.01
    assert gain > nll(task, edited, every) - nll(task, task.adapter, every)


@each_method
def test_progress_is_reported_and_a_stop_obeyed(task: ForgetTask, name: str, config: dict[str, Any]) -> None:
    seen: list[Progress] = []

    def stop() -> bool:
        return len(seen) == 2

    with pytest.raises(Interrupted):
        build_method(name, config).run(task, on_step=seen.append, should_stop=stop)
    assert [(step.stage, step.step) for step in seen] == [("descent", 1), ("descent", 2)]
    assert all(step.loss is not None for step in seen)


@pytest.mark.parametrize(
    ("name", "config", "student", "reference"),
    [
        ("gradient_ascent", {}, "F", ""),
        ("gradient_difference", {}, "FR", ""),
        ("gradient_difference", {"retain": "divergence"}, "FR", "R"),
        ("gradient_difference", {"retain_weight": 0.0, "retain": "divergence"}, "F", ""),
        ("npo", {}, "FR", "F"),
        ("npo", {"retain": "divergence"}, "FR", "FR"),
        ("simnpo", {}, "FR", ""),
        ("random_label", {}, "FR", ""),
        ("pcgrad", {}, "FR", ""),
        ("pcgrad", {"retain": "divergence"}, "FR", "R"),
    ],
)
def test_the_cost_counts_every_pass(
    task: ForgetTask, name: str, config: dict[str, Any], student: str, reference: str
) -> None:
    rows = {"F": forget_batch(task).rows, "R": retain_batch(task).rows}
    cost = build_method(name, {"steps": 2, "batch_size": 200, **config}).run(task).cost
    assert cost.backwards == cost.samples == 2 * sum(rows[kind] for kind in student)
    assert cost.forwards == 2 * sum(rows[kind] for kind in student + reference)
