from collections import Counter
from dataclasses import replace

import pytest
import torch

from recommender import Adapter, ItemTokenStyle
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
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.compared.random_label import RandomLabel, RandomLabelConfig, other_options
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import DescentConfig, forget_windows


def test_of_two_items_the_other_one_is_drawn() -> None:
    targets = torch.tensor([[0, 1, IGNORED], [1, IGNORED, 0]])
    found = other_options(targets, 2, torch.Generator().manual_seed(0))
    assert found.tolist() == [[1, 0, IGNORED], [0, IGNORED, 1]]


def test_each_other_item_is_as_likely_and_the_true_one_never_comes() -> None:
    found = other_options(torch.full((40, 100), 2), 5, torch.Generator().manual_seed(0))
    counts = Counter(found.flatten().tolist())
    assert counts.keys() == {0, 1, 3, 4}
    # 4000 draws over four items: 1000 each, deviation sqrt(4000 * 1/4 * 3/4) = 27; five of them allowed.
    assert all(abs(count - 1000) < 137 for count in counts.values())


def test_labels_are_redrawn_and_the_seed_decides() -> None:
    targets = torch.zeros(2, 50, dtype=torch.int64)
    generator = torch.Generator().manual_seed(3)
    first, second = other_options(targets, 40, generator), other_options(targets, 40, generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, other_options(targets, 40, torch.Generator().manual_seed(3)))


def test_its_loss_at_the_parent(task: ForgetTask) -> None:
    config = RandomLabelConfig(steps=1, batch_size=WHOLE)
    forget = forget_windows(task, DescentConfig(batch_size=WHOLE)).draw()
    labels = other_options(forget.targets, 40, torch.Generator().manual_seed(task.seed + 2))
    flipped = losses.cross_entropy(logits(task, task.adapter, forget), labels).item()
    held = nll(task, task.adapter, retain_batch(task))
    assert first_loss(RandomLabel(config), task) == pytest.approx(0.2 * flipped + held, rel=1e-5)


def test_it_lowers_its_own_objective_on_the_average_draw(task: ForgetTask) -> None:
    config = RandomLabelConfig(steps=8, lr=2e-3)
    forget, retain = forget_batch(task), retain_batch(task)

    def objective(adapter: Adapter) -> float:
        # The NLL of all other items of each place, averaged: what random labels cost on average.
        surprise = -logits(task, adapter, forget).log_softmax(-1)[forget.targets != IGNORED]
        true = surprise.gather(-1, forget.targets[forget.targets != IGNORED].unsqueeze(-1)).squeeze(-1)
        flipped = ((surprise.sum(-1) - true) / 39).mean().item()
        return config.forget_weight * flipped + nll(task, adapter, retain)

    edited = RandomLabel(config).run(task).adapter
    assert objective(edited) < objective(task.adapter) - 0.03


def test_a_catalogue_of_one_item_has_no_other(task: ForgetTask) -> None:
    alone = replace(task, base=replace(task.base, style=ItemTokenStyle(1, window=4)))
    with pytest.raises(InvalidTask, match="at least two options"):
        RandomLabel().run(alone)


def test_the_configuration_is_checked() -> None:
    assert RandomLabelConfig().forget_weight == 0.2
    with pytest.raises(InvalidMethodConfig, match="at least 0"):
        RandomLabelConfig(forget_weight=-0.2)
