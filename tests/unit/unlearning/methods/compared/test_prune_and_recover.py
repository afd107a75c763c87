import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Adapter, Interrupted
from tests.unit.unlearning.methods.free_logits import asking_for, free_logits
from unlearning import ForgetTask, Progress
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.compared.prune_and_recover.prune_and_recover import (
    PruneAndRecover,
    PruneAndRecoverConfig,
    _contrast,
    _Locator,
)
from unlearning.methods.compared.prune_and_recover.units import Units
from unlearning.methods.shared.descent import ChoiceModel, forget_windows
from unlearning.methods.shared.gradients import predicted_items, summed_gradient, summed_loss
from unlearning.methods.shared.windows import Windows

SHORT = PruneAndRecoverConfig(steps=2, mask_steps=2, calibration_windows=16)
A, B = "base_model.model.m.lora_A.weight", "base_model.model.m.lora_B.weight"
PAIR = {
    A: torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    B: torch.tensor([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]),
}


def mean_loss(task: ForgetTask, adapter: Adapter) -> float:
    model = ChoiceModel(task.base, adapter)
    batches = list(Windows(task.base.style, task.forget, batch_size=64, seed=0).once())
    total = sum(float(summed_loss(model.logits(batch), batch.targets)) for batch in batches)
    return total / predicted_items(batches)


def test_a_channel_is_a_column_of_b_and_a_row_of_a() -> None:
    units = Units("rank_channel", Adapter({}, PAIR))
    # Columns of B hold 90 and 120, rows of A 3 and 7.
    assert units.totals(PAIR).tolist() == [93.0, 127.0]
    assert units.totals({B: PAIR[B]}).tolist() == [90.0, 120.0]
    masks = torch.tensor([0.5, 0.0])
    assert {name: factor.tolist() for name, factor in units.scaling(masks).items()} == {B: [[0.5, 0.0]]}
    pruning = units.pruning(torch.tensor([1.0, 0.0]))
    assert {name: factor.tolist() for name, factor in pruning.items()} == {
        B: [[1.0, 0.0]],
        A: [[1.0], [0.0]],
    }


def test_single_weights_are_units_too() -> None:
    units = Units("weight", Adapter({}, PAIR))
    assert len(units) == 10
    assert units.totals(PAIR).tolist() == [1, 2, 3, 4, 10, 20, 30, 40, 50, 60]
    cut = units.scaling(torch.arange(10.0))
    assert cut[A].tolist() == [[0, 1], [2, 3]]
    assert cut[B].tolist() == [[4, 5], [6, 7], [8, 9]]


def test_an_adapter_without_plain_pairs_has_no_channels() -> None:
    with pytest.raises(InvalidTask, match="unit='weight'"):
        Units("rank_channel", Adapter({}, {**PAIR, "base_model.model.e.lora_embedding_A": torch.ones(2, 5)}))


def test_the_objective_weighs_the_subjects_against_the_retained() -> None:
    # p = (1/4, 3/4): the retained ask for 1 and 0, the subjects for 1.
    loss = _contrast(free_logits(0.0, math.log(3)), asking_for(1), asking_for(1, 0), 0.01)
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2 - 0.01 * math.log(4 / 3))


def test_importance_is_the_weight_times_the_slope_of_the_mean_loss(task: ForgetTask) -> None:
    locator = _Locator(task, PruneAndRecoverConfig(calibration_windows=10_000), None, None)
    windows = forget_windows(task, SHORT)
    found = locator._importance(windows)
    model, batches = ChoiceModel(task.base, task.adapter, trainable=True), list(windows.once())
    gradients, items = summed_gradient(model, batches), predicted_items(batches)
    stem = "base_model.model.model.layers.0.self_attn.q_proj"  # the first module
    for channel in range(4):
        down = task.adapter.tensors[f"{stem}.lora_A.weight"] * gradients[f"{stem}.lora_A.weight"]
        up = task.adapter.tensors[f"{stem}.lora_B.weight"] * gradients[f"{stem}.lora_B.weight"]
        expected = (down[channel].abs().sum() + up[:, channel].abs().sum()) / items
        torch.testing.assert_close(found[channel], expected, rtol=1e-4, atol=1e-8)


def test_the_first_mask_step_goes_down_the_slope_of_each_mask(task: ForgetTask) -> None:
    config = PruneAndRecoverConfig(mask_steps=1, mask_lr=0.1, pool_ratio=1.0)
    masks = _Locator(task, config, None, None)._masks(torch.arange(60))
    # Adam's first step has the length of the learning rate: 2.1 or 1.9 wherever there is a slope.
    up, down = 1 / (1 + math.exp(-2.1)), 1 / (1 + math.exp(-1.9))
    assert {round(value, 3) for value in masks.tolist()} == {round(up, 3), round(down, 3)}
    # One channel's slope by differences of the objective, on the same batches.
    channel = 56  # the head's first
    name, sizes = "base_model.model.lm_head.lora_B.weight", []
    for mask in (0.85, 0.91):
        fresh = _Locator(task, config, None, None)
        factors = fresh.units.scaling(torch.full((60,), 1 / (1 + math.exp(-2.0))))
        factors[name][0, channel - 56] = mask
        with torch.no_grad():
            for tensor, factor in factors.items():
                fresh.model.parameters[tensor].mul_(factor)
        sizes.append(float(fresh._difference().detach()))
    assert (sizes[1] > sizes[0]) == (masks[channel].item() < 0.88)


def test_what_is_pruned_stays_pruned_and_the_rest_recovers(task: ForgetTask) -> None:
    candidate = PruneAndRecover(SHORT).run(task)
    kept = candidate.artefacts
    assert len(kept) == 15  # seven linear maps in each of two layers, and the head
    assert sum(int((~keep).sum()) for keep in kept.values()) == 6  # a tenth of 15 x 4
    for name, keep in kept.items():
        stem = "base_model.model." + name.removeprefix("kept.")
        up, down = (candidate.adapter.tensors[f"{stem}.lora_{side}.weight"] for side in "BA")
        assert not up[:, ~keep].any()
        assert not down[~keep].any()
        assert bool(up[:, keep].any(0).all())
    moved = [
        name for name, tensor in task.adapter.tensors.items()
        if not torch.equal(candidate.adapter.tensors[name], tensor)
    ]  # fmt: skip
    assert len(moved) == 30


def test_single_weights_stay_pruned_too(task: ForgetTask) -> None:
    candidate = PruneAndRecover(replace(SHORT, unit="weight", prune_ratio=0.05)).run(task)
    units = sum(keep.numel() for keep in candidate.artefacts.values())
    assert sum(int((~keep).sum()) for keep in candidate.artefacts.values()) == round(0.05 * units)
    for name, keep in candidate.artefacts.items():
        tensor = candidate.adapter.tensors["base_model.model." + name.removeprefix("kept.")]
        assert not tensor[~keep].any()


def test_without_mask_steps_the_lowest_scores_go(task: ForgetTask) -> None:
    config = replace(SHORT, mask_steps=0, pool_ratio=0.5)
    locator = _Locator(task, config, None, None)
    kept = locator.kept()
    other = _Locator(task, config, None, None)
    score = other._importance(other._retain) - 0.2 * other._importance(other._forget)
    assert set((kept == 0).nonzero().flatten().tolist()) == set(score.argsort()[:6].tolist())


def test_it_raises_the_subjects_loss(task: ForgetTask) -> None:
    candidate = PruneAndRecover(PruneAndRecoverConfig(steps=5)).run(task)
    assert mean_loss(task, candidate.adapter) > mean_loss(task, task.adapter)


def test_a_repeat_is_the_same_bit_for_bit_and_the_parent_stays(task: ForgetTask) -> None:
    before = task.adapter.to_bytes()
    one, two = PruneAndRecover(SHORT).run(task), PruneAndRecover(SHORT).run(task)
    assert one.adapter.to_bytes() == two.adapter.to_bytes() != before
    assert task.adapter.to_bytes() == before
    assert one.cost.forwards == one.cost.backwards == two.cost.backwards > 2 * 16


def test_it_reports_progress_and_can_be_stopped(task: ForgetTask) -> None:
    seen: list[Progress] = []
    PruneAndRecover(SHORT).run(task, on_step=seen.append)
    assert [(step.stage, step.step, step.steps) for step in seen] == [
        *(("importance", step, 4) for step in range(1, 5)),
        *(("descent", step, 2) for step in range(1, 3)),
    ]
    for stage in (0, 3, 5):
        seen.clear()
        with pytest.raises(Interrupted):
            PruneAndRecover(SHORT).run(task, on_step=seen.append, should_stop=lambda: len(seen) >= stage)  # noqa: B023


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "head"},
        {"prune_ratio": 0.0},
        {"prune_ratio": 0.5, "pool_ratio": 0.2},
        {"pool_ratio": 1.5},
        {"calibration_windows": 0},
        {"mask_steps": -1},
        {"mask_lr": 0.0},
        {"mask_l1": -1.0},
        {"mask_l1": math.nan},
        {"mask_start": math.nan},
        {"contrast": -0.2},
        {"recovery_forget_weight": -1.0},
        {"recovery_forget_weight": math.nan},
        {"steps": 0},
    ],
)
def test_a_bad_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMethodConfig, match=next(iter(change))):
        PruneAndRecoverConfig(**change)
