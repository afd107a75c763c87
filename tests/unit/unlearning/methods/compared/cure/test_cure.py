import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Adapter, Interrupted
from tests.unit.unlearning.worlds import same
from unlearning import ForgetTask, Progress
from unlearning.methods.compared.cure.circuits import Circuits, circuits, node_effects
from unlearning.methods.compared.cure.cure import (
    Cure,
    CureConfig,
    _counterfactual,
    _GroupedGradient,
    without_conflict,
)
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel, forget_windows, retain_windows

QUICK = CureConfig(steps=4, lr=1e-2, batch_size=8, discovery_windows=16)


def test_projection_by_hand() -> None:
    # (1, -2) . (1, 1) = -1 against |(1, 1)|^2 = 2: half of (1, 1) is added.
    forget, retain = torch.tensor([1.0, -2.0]), torch.tensor([1.0, 1.0])
    (freed,) = without_conflict([forget], [retain])
    assert freed.tolist() == [1.5, -1.5]
    # Where they agree, and where there is nothing to retain, the forget gradient is left alone.
    assert without_conflict([-forget], [retain])[0].tolist() == [-1.0, 2.0]
    assert without_conflict([forget], [torch.zeros(2)])[0].tolist() == [1.0, -2.0]


def test_the_projection_depends_on_what_is_compared_at_once() -> None:
    # Tensor by tensor the first conflicts (-2 against 4) and the second does not (+3): (-1 + 1/2 * 2) = 0, kept 3.
    # Together the product is -2 + 3 = 1, so nothing is projected.
    forget, retain = [torch.tensor([-1.0]), torch.tensor([3.0])], [torch.tensor([2.0]), torch.tensor([1.0])]
    apart = [without_conflict([one], [other])[0].item() for one, other in zip(forget, retain, strict=True)]
    assert apart == [0.0, 3.0]
    assert [value.item() for value in without_conflict(forget, retain)] == [-1.0, 3.0]


def test_the_losses_on_three_items_by_hand(task: ForgetTask) -> None:
    """Student (1/4, 1/4, 1/2), parent (1/2, 1/4, 1/4), target the first item, beta 1."""
    ln2 = math.log(2)

    class Fixed:
        def __init__(self, *logits: float) -> None:
            self._logits = torch.tensor([[logits]])

        def logits(self, batch: Any) -> torch.Tensor:
            return self._logits

    student, parent = Fixed(0.0, 0.0, ln2), Fixed(ln2, 0.0, 0.0)
    batch: Any = type("OneTarget", (), {"targets": torch.tensor([[0]]), "events": None})

    def gradient(**change: Any) -> Any:
        grouped: Any = _GroupedGradient(CureConfig(**change), Circuits((), (), ()), parent)  # type: ignore[arg-type]
        return grouped

    # NPO: pi / pi_ref = 1/2, so -2 ln s(ln 2) = 2 ln(1 + 1/2). Ascent: ln 1/4.
    assert float(gradient()._forget_loss(student, batch)) == pytest.approx(2 * math.log(1.5))
    assert float(gradient(forget="gradient_ascent")._forget_loss(student, batch)) == pytest.approx(-2 * ln2)
    # Retain: NLL 2 ln 2, and KL = 1/2 ln 2 + 0 - 1/4 ln 2.
    assert float(gradient(divergence_weight=3.0)._retain_loss(student, batch)) == pytest.approx(2.75 * ln2)
    assert float(gradient(divergence_weight=0.0)._retain_loss(student, batch)) == pytest.approx(2 * ln2)


@pytest.mark.parametrize("scope", ["tensor", "module", "group"])
def test_each_group_gets_its_own_gradient(task: ForgetTask, scope: Any) -> None:
    config = replace(QUICK, forget="gradient_ascent", divergence_weight=0.0, projection=scope)
    theirs, kept, both = "lm_head", "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"
    parent = ChoiceModel(task.base, task.adapter)
    student = ChoiceModel(task.base, task.adapter, trainable=True)
    forget, retain = forget_windows(task, config).draw(), retain_windows(task, config).draw()
    _GroupedGradient(config, Circuits((theirs,), (kept,), (both,)), parent)(student, forget, retain)

    other = ChoiceModel(task.base, task.adapter, trainable=True)
    names = list(other.parameters)
    climb = losses.gradient_ascent(other.logits(forget), forget.targets)
    hold = losses.cross_entropy(other.logits(retain), retain.targets)
    down, up = (
        dict(zip(names, torch.autograd.grad(loss, list(other.parameters.values())), strict=True))
        for loss in (climb, hold)
    )
    moved = {name for name, parameter in student.parameters.items() if parameter.grad is not None}
    stem = "base_model.model."
    assert moved == {f"{stem}{n}.lora_{p}.weight" for n in (theirs, kept, both) for p in "AB"}
    for name in moved:
        found = student.parameters[name].grad
        assert found is not None
        if theirs in name:
            torch.testing.assert_close(found, down[name])
        elif kept in name:
            torch.testing.assert_close(found, up[name])
    # The shared module: the retain gradient, plus a forget gradient that opposes it in no block.
    up_a, up_b = (f"{stem}{both}.lora_{part}.weight" for part in "AB")
    conflicts = 0
    for block in [[up_a], [up_b]] if scope == "tensor" else [[up_a, up_b]]:
        product = sum(float((down[name] * up[name]).sum()) for name in block)
        conflicts += product < 0
        share = min(product, 0.0) / sum(float(up[name].square().sum()) for name in block)
        for name in block:
            expected = down[name] - share * up[name] + up[name]
            torch.testing.assert_close(student.parameters[name].grad, expected)
    assert conflicts > 0  # or the projection was not put to use


def test_it_beats_doing_nothing_on_the_subjects_and_keeps_the_retained(task: ForgetTask) -> None:
    config = replace(QUICK, steps=15)
    edited = Cure(config).run(task).adapter
    whole = replace(config, batch_size=100)
    forget, retain = forget_windows(task, whole).draw(), retain_windows(task, whole).draw()
    parent = ChoiceModel(task.base, task.adapter)

    def figures(adapter: Adapter) -> tuple[float, float]:
        model = ChoiceModel(task.base, adapter)
        npo = losses.negative_preference(
            losses.log_likelihoods(model.logits(forget), forget.targets, "item"),
            losses.log_likelihoods(parent.logits(forget), forget.targets, "item"),
            config.beta,
        )
        return float(npo), float(losses.cross_entropy(model.logits(retain), retain.targets))

    (before, kept_before), (after, kept_after) = figures(task.adapter), figures(edited)
    assert after < before
    assert after + kept_after < before + kept_before


def test_only_the_nodes_of_the_circuits_move(task: ForgetTask) -> None:
    candidate = Cure(replace(QUICK, circuit_share=0.2)).run(task)
    effects: dict[str, dict[str, float]] = {"forget": {}, "retain": {}}
    for name, value in candidate.artefacts.items():
        side, _, node = name.partition("_effect.")
        effects[side][node] = float(value)
    assert {side: len(found) for side, found in effects.items()} == {"forget": 15, "retain": 15}
    groups = circuits(effects["forget"], effects["retain"], 0.2)
    moved = {
        name.removeprefix("base_model.model.").rpartition(".lora_")[0]
        for name, tensor in candidate.adapter.tensors.items()
        if not torch.equal(tensor, task.adapter.tensors[name])
    }
    assert moved == {*groups.forget, *groups.retain, *groups.shared}
    assert 3 <= len(moved) <= 6


def test_a_repeat_is_the_same_and_the_parent_is_left_alone(task: ForgetTask) -> None:
    parent = {name: tensor.clone() for name, tensor in task.adapter.tensors.items()}
    base = {name: tensor.clone() for name, tensor in task.base.model.state_dict().items()}
    one, other = Cure(QUICK).run(task), Cure(QUICK).run(task)
    assert same(one.adapter, other.adapter)
    assert all(torch.equal(one.artefacts[name], value) for name, value in other.artefacts.items())
    assert all(torch.equal(task.adapter.tensors[name], tensor) for name, tensor in parent.items())
    assert all(torch.equal(task.base.model.state_dict()[name], tensor) for name, tensor in base.items())


def test_the_discovery_is_part_of_the_cost(task: ForgetTask) -> None:
    config = replace(QUICK, steps=2, integration_points=2)
    rows = len(forget_windows(task, config))
    assert rows <= config.batch_size
    cost = Cure(config).run(task).cost
    # Discovery reads all forget windows and two batches of the retained, each backwards twice and forwards thrice;
    # every step reads a batch of both, with the parent's forward on top.
    read, walked = rows + 16, 2 * (rows + 8)
    assert cost.backwards == cost.samples == 2 * read + walked
    assert cost.forwards == 3 * read + 2 * walked


@pytest.mark.parametrize(
    "change",
    [
        {"counterfactual": "popularity_matched", "projection": "module"},
        {"integration_points": 3, "forget": "gradient_ascent", "projection": "group"},
        {"circuit_share": 1.0, "divergence_weight": 0.0},
    ],
)
def test_every_choice_moves_the_adapter(task: ForgetTask, change: dict[str, Any]) -> None:
    candidate = Cure(replace(QUICK, **change)).run(task)
    assert not same(candidate.adapter, task.adapter)
    assert all(bool(tensor.isfinite().all()) for tensor in candidate.adapter.tensors.values())


def test_only_the_marked_items_are_forgotten(task: ForgetTask) -> None:
    marks = tuple(tuple(index == 0 for index in range(len(sequence))) for sequence in task.forget)
    marked = Cure(QUICK).run(replace(task, forget_targets=marks))
    assert not same(marked.adapter, Cure(QUICK).run(task).adapter)


def test_it_reports_progress_and_can_be_stopped(task: ForgetTask) -> None:
    seen: list[Progress] = []
    Cure(QUICK).run(task, on_step=seen.append)
    assert [(report.stage, report.step, report.steps) for report in seen] == [
        *(("importance", step, 3) for step in (1, 2, 3)),
        *(("descent", step, 4) for step in (1, 2, 3, 4)),
    ]
    for reports in (1, 5):
        seen.clear()
        with pytest.raises(Interrupted):
            Cure(QUICK).run(task, on_step=seen.append, should_stop=lambda: len(seen) >= reports)  # noqa: B023
        assert len(seen) == reports


def test_each_sides_own_nodes_go_down_that_sides_loss(task: ForgetTask) -> None:
    # Adam's first step is lr times the sign of the gradient, so the direction tells whose loss a node descended.
    config = CureConfig(
        steps=1, lr=1e-3, batch_size=100, circuit_share=0.2, forget="gradient_ascent", divergence_weight=0.0
    )
    candidate = Cure(config).run(task)
    effects: dict[str, dict[str, float]] = {"forget": {}, "retain": {}}
    for name, value in candidate.artefacts.items():
        side, _, node = name.partition("_effect.")
        effects[side][node] = float(value)
    groups = circuits(effects["forget"], effects["retain"], 0.2)
    assert groups.forget
    assert groups.retain
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    forget, retain = forget_windows(task, config).draw(), retain_windows(task, config).draw()
    for nodes, loss in (
        (groups.forget, losses.gradient_ascent(model.logits(forget), forget.targets)),
        (groups.retain, losses.cross_entropy(model.logits(retain), retain.targets)),
    ):
        names = [f"base_model.model.{node}.lora_{part}.weight" for node in nodes for part in "AB"]
        slopes = torch.autograd.grad(loss, [model.parameters[name] for name in names])
        for name, slope in zip(names, slopes, strict=True):
            step = candidate.adapter.tensors[name] - task.adapter.tensors[name]
            steep = slope.abs() > 1e-5
            assert bool((step[steep] * slope[steep] < 0).all())


def test_the_forget_effects_are_those_of_the_subjects(task: ForgetTask) -> None:
    config = CureConfig(steps=1, batch_size=8, discovery_windows=16)
    found = Cure(config).run(task).artefacts
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    # The subjects are read first, so they get the counterfactuals that a fresh generator draws.
    expected = node_effects(model, forget_windows(task, config).sample(16), _counterfactual(task, config))
    assert {
        name.removeprefix("forget_effect."): float(value)
        for name, value in found.items()
        if name.startswith("forget_effect.")
    } == {node: float(torch.tensor(effect)) for node, effect in expected.items()}
