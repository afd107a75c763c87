import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recommender import Adapter, Interrupted
from tests.unit.unlearning.methods.ladder.levels_asked import asked, item_losses, losses
from unlearning import ForgetTask, Progress
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.least_change import LeastChange
from unlearning.methods.ladder.least_change.solver import Solver, strides
from unlearning.methods.ladder.least_change.subjects import Subjects
from unlearning.methods.shared.curvature import flat
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.gradients import predicted_items, summed_loss
from unlearning.methods.shared.windows import Windows


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_every_subject_reaches_its_own_level(task: ForgetTask, smoothing: float) -> None:
    task = replace(task, smoothing=smoothing)
    more = torch.linspace(0.1, 0.6, len(task.forget), dtype=torch.float64)
    wanted = asked(task, more)
    candidate = LeastChange(LeastChangeConfig(rounds=5)).run(wanted)
    assert wanted.never_seen_nll is not None
    reached = losses(task, candidate.adapter, task.forget)
    torch.testing.assert_close(
        reached, torch.tensor(wanted.never_seen_nll, dtype=torch.float64), atol=0.03, rtol=0
    )
    gap = torch.tensor(wanted.never_seen_nll, dtype=torch.float64) - reached
    assert float(candidate.artefacts["gap"]) == pytest.approx(float(gap.square().mean().sqrt()), abs=1e-5)


def test_one_subject_moves_along_its_gradient_over_the_curvature(task: ForgetTask) -> None:
    # With heavy damping M is a constant c: d = g t / (g'g) whatever c is, the shortest change with g'd = t.
    alone = asked(replace(task, forget=task.forget[:1]), 1e-3)
    config = LeastChangeConfig(
        rounds=1, close_enough=0.0, damping=1e6, ridge=1e-9, halvings=0, repair_steps=0
    )
    edited = LeastChange(config).run(alone).adapter
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    (batch,) = Windows(task.base.style, alone.forget, batch_size=64, seed=0).once()
    loss = summed_loss(model.logits(batch), batch.targets) / predicted_items([batch])
    gradient = flat(torch.autograd.grad(loss, list(model.parameters.values())))
    change = flat([edited.tensors[name].double() - task.adapter.tensors[name] for name in model.parameters])
    torch.testing.assert_close(change, 1e-3 * gradient / (gradient @ gradient), rtol=2e-2, atol=2e-7)


@pytest.mark.parametrize("repair_steps", [0, 40])
def test_what_is_remembered_best_moves_farthest(task: ForgetTask, repair_steps: int) -> None:
    def best_fifth_rise(memory_weight: float) -> float:
        """How far the best-remembered fifth of all items rises, as a share of what all rise on average."""
        config = LeastChangeConfig(rounds=4, memory_weight=memory_weight, repair_steps=repair_steps)
        edited = LeastChange(config).run(asked(task, 0.5)).adapter
        base, before, after = (
            torch.cat(item_losses(task, adapter, task.forget)) for adapter in (None, task.adapter, edited)
        )
        best = (base - before).topk(len(before) // 5).indices
        rise = after - before
        return float(rise[best].mean() / rise.mean())

    evenly, by_memory = best_fifth_rise(0.0), best_fifth_rise(0.5)
    assert by_memory > 3 * evenly


def test_losses_stand_in_the_order_of_the_items_however_long_a_history_is(task: ForgetTask) -> None:
    """Windows are read longest first; the oldest one of a long history is its shortest."""
    long = task.forget[0] + task.forget[1] + task.forget[2]
    assert len(long) % (task.base.style.window + 1)
    assert len(long) > 2 * task.base.style.window
    several = replace(task, forget=(task.forget[0], long))
    subjects = Subjects(ChoiceModel(task.base, task.adapter), several, batch_size=3, should_stop=None)
    for adapter, of_base in ((task.adapter, False), (None, True)):
        expected = item_losses(task, adapter, several.forget)
        torch.testing.assert_close(subjects.item_losses(of_base=of_base), expected, atol=1e-5, rtol=1e-5)


def test_no_item_is_asked_for_more_than_it_has_to_give_back(task: ForgetTask) -> None:
    # The level is far beyond the memories: the weighted round stops at the memories, the others continue from there.
    wanted = asked(replace(task, forget=task.forget[:1]), 30.0)
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    solver = Solver(model, wanted, LeastChangeConfig(memory_weight=1.0), None)
    (base,), (before,) = (item_losses(wanted, adapter, wanted.forget) for adapter in (None, task.adapter))
    memory = (base - before).clamp(min=0.0)
    most = float(memory.square().sum() / memory.sum())
    assert solver._weighted_rise(0, 30.0) == pytest.approx(most, rel=1e-4)
    assert solver._weighted_rise(0, 0.1) == pytest.approx(0.1 / float(memory.mean()) * most, rel=1e-4)


def test_whoever_is_remembered_no_better_than_by_the_base_is_moved_all_the_same(task: ForgetTask) -> None:
    none = task.adapter.replace(
        {
            name: torch.zeros_like(tensor) if "lora_B" in name else tensor
            for name, tensor in task.adapter.tensors.items()
        }
    )
    config = LeastChangeConfig(rounds=6, memory_weight=0.5, repair_steps=0)
    candidate = LeastChange(config).run(asked(replace(task, adapter=none), 0.2))
    assert float(candidate.artefacts["gap"]) < 0.05


def test_parameters_that_the_retained_users_need_move_less(task: ForgetTask) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    parameters, fisher = list(model.parameters.values()), Tensor()
    for batch in Windows(task.base.style, task.retain, batch_size=1, seed=0).once():
        loss = summed_loss(model.logits(batch), batch.targets) / predicted_items([batch])
        square = flat(torch.autograd.grad(loss, parameters)).square()
        fisher = fisher + square if len(fisher) else square

    def cost(damping: float) -> float:
        config = LeastChangeConfig(rounds=1, damping=damping, repair_steps=0)
        edited = LeastChange(config).run(asked(task, 0.1)).adapter
        change = [edited.tensors[name].double() - task.adapter.tensors[name] for name in model.parameters]
        return float(fisher @ flat(change).square())

    # Both reach the same levels; the one without curvature takes the shortest step, whatever it costs others.
    assert cost(0.1) < 0.7 * cost(1e6)


def test_a_subject_above_its_level_is_not_learnt_again(task: ForgetTask) -> None:
    more = torch.full((len(task.forget),), 0.4, dtype=torch.float64)
    more[0] = -0.5
    reached = losses(task, LeastChange().run(asked(task, more)).adapter, task.forget)
    before = losses(task, task.adapter, task.forget)
    assert float(reached[0]) == pytest.approx(float(before[0]), abs=0.03)
    assert bool((reached[1:] > before[1:] + 0.3).all())


def test_nothing_to_forget_changes_nothing(task: ForgetTask) -> None:
    edited = LeastChange().run(asked(task, 0.0)).adapter
    assert all(torch.equal(edited.tensors[name], tensor) for name, tensor in task.adapter.tensors.items())


def test_groups_reach_the_levels_too(task: ForgetTask) -> None:
    wanted = asked(task, 0.3)
    candidate = LeastChange(LeastChangeConfig(together=1, rounds=6)).run(wanted)
    assert float(candidate.artefacts["gap"]) < 0.05


def test_a_long_way_is_walked_in_strides(task: ForgetTask) -> None:
    wanted = asked(task, torch.tensor([0.3, *[0.1] * (len(task.forget) - 1)], dtype=torch.float64))
    seen: list[Progress] = []
    config = LeastChangeConfig(stride=0.1, rounds=1, close_enough=0.0, repair_steps=0, halvings=0)
    LeastChange(config).run(wanted, on_step=seen.append)
    # 0.3 nats are three strides, the last of which is the round; no round closes more than a stride of the gap.
    assert [(report.step, report.steps) for report in seen] == [(1, 3), (2, 3), (3, 3)]
    assert (seen[0].loss or 0.0) > 0.05
    ways = (0.05, 0.09, 0.15, 1e6, math.nan)
    assert [strides(torch.tensor([0.0, way]), 0.1) for way in ways] == [0, 0, 1, 16, 0]


def test_strides_cost_the_others_less(task: ForgetTask) -> None:
    def lost(stride: float) -> float:
        config = LeastChangeConfig(stride=stride, rounds=4, repair_steps=0)
        edited = LeastChange(config).run(asked(task, 4.0)).adapter
        return float((losses(task, edited, task.retain) - losses(task, task.adapter, task.retain)).mean())

    assert lost(0.5) < lost(100.0)


def test_only_marked_items_count(task: ForgetTask) -> None:
    sequence = task.forget[0]
    marks = tuple(place == len(sequence) - 1 for place in range(len(sequence)))
    wanted = replace(task, forget=(sequence,), forget_targets=(marks,), never_seen_nll=(9.0,))

    def last_item(adapter: Adapter) -> float:
        (batch,) = Windows(task.base.style, (sequence,), (marks,), batch_size=1, seed=0).once()
        return float(summed_loss(ChoiceModel(task.base, adapter).logits(batch), batch.targets))

    level = last_item(task.adapter) + 0.5
    edited = LeastChange(LeastChangeConfig(rounds=5)).run(replace(wanted, never_seen_nll=(level,))).adapter
    assert last_item(edited) == pytest.approx(level, abs=0.03)


def test_a_step_into_nowhere_is_taken_back(task: ForgetTask) -> None:
    # No change of the adapter can make a subject this surprising in one step; the loss explodes or stays.
    wanted = asked(task, 1e6)
    candidate = LeastChange(LeastChangeConfig(rounds=1, halvings=0)).run(wanted)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in candidate.adapter.tensors.values())


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_a_smoothing_that_cannot_be_is_refused(task: ForgetTask, smoothing: float) -> None:
    with pytest.raises(InvalidTask, match="smoothing"):
        replace(task, smoothing=smoothing)


def test_two_runs_agree_bit_for_bit_and_count_their_passes(task: ForgetTask) -> None:
    wanted, seen = asked(task, 0.3), list[Progress]()
    first, second = LeastChange().run(wanted, on_step=seen.append), LeastChange().run(wanted)
    assert all(
        torch.equal(first.adapter.tensors[name], second.adapter.tensors[name])
        for name in first.adapter.tensors
    )
    assert [(report.stage, report.step) for report in seen[:2]] == [("descent", 1), ("descent", 2)]
    # After the repair the equations are solved again.
    assert [stage for stage, _ in itertools.groupby(report.stage for report in seen)] == [
        "descent", "repair", "descent"
    ]  # fmt: skip
    assert first.cost.forwards > first.cost.backwards >= 2 * len(task.forget)


def test_it_stops_when_asked(task: ForgetTask) -> None:
    with pytest.raises(Interrupted):
        LeastChange().run(asked(task, 0.3), should_stop=lambda: True)


def test_without_levels_it_refuses(task: ForgetTask) -> None:
    with pytest.raises(InvalidTask, match="never_seen_nll"):
        LeastChange().run(task)


@pytest.mark.parametrize(
    "levels", [(1.0,), (-1.0, 1.0, 1.0), (float("nan"), 1.0, 1.0), (float("inf"), 1.0, 1.0)]
)
def test_levels_that_cannot_be_are_refused(task: ForgetTask, levels: tuple[float, ...]) -> None:
    with pytest.raises(InvalidTask, match="never_seen_nll"):
        replace(task, forget=task.forget[:1] * 3, forget_targets=None, never_seen_nll=levels)


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"retain_windows": 0},
        {"damping": 0.0},
        {"repair_steps": -1},
        {"repair_steps_each": 0},
        {"memory_weight": -0.1},
        {"close_enough": -1.0},
        {"close_enough": math.inf},
        {"repair_length": 0.0},
        {"repair_every": 0},
        {"ridge": 0.0},
        {"stride": 0.0},
        {"halvings": -1},
        {"together": 0},
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMethodConfig):
        LeastChangeConfig(**change)
