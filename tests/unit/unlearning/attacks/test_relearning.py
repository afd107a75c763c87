from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from recommender import Adapter, Interrupted, Split
from unlearning import ForgetTask
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.attacks.relearning import RelearningConfig, relearning_curve, relearning_split
from unlearning.errors import InvalidEvaluation

QUICK = RelearningConfig(share=0.3, checkpoints=(0, 1, 4, 8), lr=5e-3)


def suppressed(adapter: Adapter, factor: float) -> Adapter:
    """Every channel scaled down, as an edit that only hides would."""
    return adapter.replace(
        {name: tensor * (factor if "lora_B" in name else 1) for name, tensor in adapter.tensors.items()}
    )


def test_the_marked_items_are_parted(task: ForgetTask) -> None:
    sequences, targets = [tuple(range(12)), (5, 6)], [(True,) * 9 + (False,) * 3, (False, True)]
    attacked, measured = relearning_split(sequences, targets, share=0.3, seed=0)
    assert [sum(map(sum, marks)) for marks in (attacked, measured)] == [3, 7]
    for marks, held, other in zip(targets, attacked, measured, strict=True):
        assert [one + two for one, two in zip(held, other, strict=True)] == list(marks)
    assert relearning_split(sequences, targets, share=0.3, seed=0) == (attacked, measured)
    assert relearning_split(sequences, targets, share=0.3, seed=1) != (attacked, measured)


@pytest.mark.parametrize(("share", "held"), [(0.001, 1), (0.999, 4), (0.5, 2)])
def test_both_sides_get_an_item(share: float, held: int) -> None:
    attacked, measured = relearning_split([(1, 2, 3), (4, 5)], None, share=share, seed=3)
    assert [sum(map(sum, marks)) for marks in (attacked, measured)] == [held, 5 - held]


def test_step_zero_is_the_candidate_itself(task: ForgetTask) -> None:
    found = relearning_curve(task.base, task.adapter, task.forget, config=replace(QUICK, checkpoints=(0,)))
    _, measured = relearning_split(task.forget, None, share=QUICK.share, seed=QUICK.seed)
    kept = [index for index, marks in enumerate(measured) if any(marks)]
    likelihoods = item_log_likelihoods(
        task.base, task.adapter, [task.forget[index] for index in kept], [measured[index] for index in kept]
    )
    assert found.steps == (0,)
    assert found.nll[0] == pytest.approx(-float(torch.cat(likelihoods).double().mean()), rel=1e-5)
    assert found.attacked + found.measured == sum(map(len, task.forget))


@pytest.mark.parametrize(("trained", "least"), [("adapter", 0.005), ("gates", 0.03)])
def test_what_was_only_hidden_comes_back(
    task: ForgetTask, splits: tuple[Split, ...], trained: Any, least: float
) -> None:
    before = {name: tensor.clone() for name, tensor in task.adapter.tensors.items()}
    config = RelearningConfig(trained=trained, share=0.5)
    members = [split.train for split in splits[:12]]
    curve = relearning_curve(task.base, suppressed(task.adapter, 0.2), members, config=config)
    assert curve.steps == (0, 1, 2, 4, 8, 16)
    assert curve.nll[0] - curve.nll[-1] > least
    assert all(later < earlier for earlier, later in pairwise(curve.nll))
    assert all(torch.equal(task.adapter.tensors[name], tensor) for name, tensor in before.items())


def test_gates_are_one_number_per_rank_channel(task: ForgetTask) -> None:
    config = replace(QUICK, checkpoints=(0, 1))
    modules = len(task.adapter.tensors) // 2
    gates = relearning_curve(task.base, task.adapter, task.forget, config=replace(config, trained="gates"))
    assert gates.trained_numbers == modules * task.adapter_config.r
    whole = relearning_curve(task.base, task.adapter, task.forget, config=config)
    assert whole.trained_numbers == sum(tensor.numel() for tensor in task.adapter.tensors.values())
    assert gates.nll[0] == whole.nll[0]


def test_gates_cannot_reopen_what_is_exactly_shut(task: ForgetTask) -> None:
    config = replace(QUICK, trained="gates")
    shut = relearning_curve(task.base, suppressed(task.adapter, 0.0), task.forget, config=config)
    assert len(set(shut.nll)) == 1


@pytest.mark.parametrize("trained", ["adapter", "gates"])
def test_a_repeat_is_the_same_to_the_last_bit(task: ForgetTask, trained: Any) -> None:
    config = replace(QUICK, trained=trained, batch_size=2, checkpoints=(2, 3))
    first, second = (relearning_curve(task.base, task.adapter, task.forget, config=config) for _ in range(2))
    assert first == second
    assert first.steps == (2, 3)


def test_only_marked_items_are_trained_on_and_measured(task: ForgetTask) -> None:
    targets = [tuple(place < 2 for place in range(len(sequence))) for sequence in task.forget]
    found = relearning_curve(task.base, task.adapter, task.forget, targets, QUICK)
    assert (found.attacked, found.measured) == (2, 4)


def test_one_item_cannot_be_parted_and_a_stop_is_honoured(task: ForgetTask) -> None:
    with pytest.raises(InvalidEvaluation, match="two marked items"):
        relearning_curve(task.base, task.adapter, [(1, 2)], [(True, False)])
    with pytest.raises(Interrupted):
        relearning_curve(task.base, task.adapter, task.forget, should_stop=lambda: True)


@pytest.mark.parametrize(
    "change",
    [
        {"trained": "base"},
        {"share": 0.0},
        {"share": 1.0},
        {"checkpoints": ()},
        {"checkpoints": (-1, 2)},
        {"checkpoints": (2, 1)},
        {"checkpoints": (1, 1)},
        {"lr": 0.0},
        {"factor_lr": -1.0},
        {"batch_size": 0},
    ],
)
def test_a_configuration_is_checked(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvaluation):
        RelearningConfig(**change)
