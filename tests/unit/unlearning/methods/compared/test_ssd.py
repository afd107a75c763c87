from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Interrupted
from tests.unit.unlearning.methods.free_logits import asking_for, free_logits
from unlearning import ForgetTask, Progress
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.ssd import Ssd, SsdConfig, _importance, dampening_factors
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.gradients import predicted_items, summed_loss
from unlearning.methods.shared.windows import Windows

# On forty users with three subjects nothing is ten times as important to the subjects.
LOW = SsdConfig(alpha=2.0)


def mean_loss(task: ForgetTask, tensors: dict[str, torch.Tensor]) -> float:
    model = ChoiceModel(task.base, task.adapter.replace(tensors))
    batches = list(Windows(task.base.style, task.forget, batch_size=64, seed=0).once())
    total = sum(float(summed_loss(model.logits(batch), batch.targets)) for batch in batches)
    return total / predicted_items(batches)


def test_a_weight_is_dampened_by_how_much_more_it_matters_to_the_subjects() -> None:
    # Ten times the importance is not more than ten times; what only the subjects use goes to 0.
    factors = dampening_factors(
        torch.tensor([20.0, 10.0, 0.0, 3.0]), torch.tensor([1.0, 1.0, 0.0, 0.0]), 10.0, 1.0
    )
    torch.testing.assert_close(factors, torch.tensor([0.05, 1.0, 1.0, 0.0]))
    # Lambda 4 raises 1/20 to 4/20; no factor ever exceeds 1.
    factors = dampening_factors(torch.tensor([20.0, 1.0]), torch.tensor([1.0, 1.5]), 0.5, 4.0)
    torch.testing.assert_close(factors, torch.tensor([0.2, 1.0]))


def test_importance_squares_each_window_and_counts_items() -> None:
    # p = (1/2, 1/2). Asking for item 0 gives (-1/2, 1/2), for item 1 the opposite, for both in one window nothing:
    # two squares of 1/4 over four items. One batch of the first two would have given 0.
    windows = [asking_for(0), asking_for(1), asking_for(0, 1)]
    found = _importance(free_logits(0.0, 0.0), windows, 0, 3, None, None)
    torch.testing.assert_close(found["logits"], torch.tensor([0.125, 0.125]))


def test_it_raises_the_subjects_loss(task: ForgetTask) -> None:
    candidate = Ssd(LOW).run(task)
    assert mean_loss(task, dict(candidate.adapter.tensors)) > mean_loss(task, dict(task.adapter.tensors))
    assert 0 < candidate.artefacts["dampened_share"].item() < 0.5
    # Three subjects and 37 others, some with two windows, one backward each.
    assert candidate.cost.forwards == candidate.cost.backwards == 49


def test_no_weight_grows_or_turns(task: ForgetTask) -> None:
    candidate = Ssd(LOW).run(task)
    scaled = 0
    for name, tensor in task.adapter.tensors.items():
        edited = candidate.adapter.tensors[name]
        assert bool((edited.abs() <= tensor.abs()).all())
        assert bool((edited * tensor >= 0).all())
        scaled += int((edited != tensor).sum())
    weights = sum(tensor.numel() for tensor in task.adapter.tensors.values())
    assert candidate.artefacts["dampened_share"].item() == pytest.approx(scaled / weights, abs=1e-3)


def test_the_published_threshold_leaves_this_small_world_alone(task: ForgetTask) -> None:
    edited = Ssd().run(task).adapter
    assert all(torch.equal(edited.tensors[name], tensor) for name, tensor in task.adapter.tensors.items())


def test_windows_without_a_marked_item_are_not_read(task: ForgetTask) -> None:
    marks = tuple(tuple(place == 0 for place in range(len(sequence))) for sequence in task.forget)
    candidate = Ssd(SsdConfig(retain_windows=5)).run(replace(task, forget_targets=marks))
    # The first item of each of three subjects lies in one window each.
    assert candidate.cost.backwards == 3 + 5


def test_a_repeat_is_the_same_bit_for_bit_and_the_parent_stays(task: ForgetTask) -> None:
    before = task.adapter.to_bytes()
    method = Ssd(SsdConfig(alpha=1.0, against="retain", retain_windows=10))
    one, two = method.run(task), method.run(task)
    assert one.adapter.to_bytes() == two.adapter.to_bytes() != before
    assert task.adapter.to_bytes() == before
    assert one.cost.backwards == len(Windows(task.base.style, task.forget, batch_size=1, seed=0)) + 10


def test_it_reports_progress_and_can_be_stopped(task: ForgetTask) -> None:
    seen: list[Progress] = []
    with pytest.raises(Interrupted):
        Ssd().run(task, on_step=seen.append, should_stop=lambda: len(seen) >= 5)
    assert [(step.stage, step.step) for step in seen] == [("importance", step) for step in range(1, 6)]


@pytest.mark.parametrize(
    "change", [{"alpha": 0.0}, {"dampening": -1.0}, {"against": "nobody"}, {"retain_windows": 0}]
)
def test_a_bad_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMethodConfig, match=next(iter(change))):
        SsdConfig(**change)
