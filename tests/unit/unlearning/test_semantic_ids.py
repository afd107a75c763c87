"""Methods and measures on items of several tokens: an item's loss is the sum over its choices."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    Scorer,
    Split,
    TrainingConfig,
    attach,
    leave_two_out,
    ranks,
)
from recommender.choices import IGNORED
from tests.unit.recommender.styles.semantic_world import CATALOGUE, histories, style_of
from tests.unit.unlearning.worlds import first_leave, levels_of_everybody, text_base
from unlearning import EvaluationInputs, ForgetTask, build_method, evaluate
from unlearning.attacks.distance import mixture_divergence
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.errors import InvalidTask
from unlearning.evaluation.reading import compare, read
from unlearning.methods.ladder.least_change.subjects import Subjects
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.gradients import predicted_items
from unlearning.methods.shared.windows import Windows

ADAPTER = AdapterConfig(r=4, alpha=8)
TRAINING = TrainingConfig(epochs=24, lr=2e-2, batch_size=8, patience=None, seed=3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    training = TrainingConfig(epochs=4, lr=2e-2, batch_size=8, patience=None, seed=1)
    panel = histories(8, seed=100)
    return text_base(
        tmp_path_factory.mktemp("base"), style_of(), panel, catalogue=CATALOGUE, training=training
    )


@pytest.fixture(scope="module")
def splits() -> tuple[Split, ...]:
    return tuple(leave_two_out(history) for history in histories(14, seed=1))


@pytest.fixture(scope="module")
def task(base: Base, splits: tuple[Split, ...]) -> ForgetTask:
    return first_leave(2, splits, base, TRAINING, ADAPTER, seed=11)


def nll(task: ForgetTask, adapter: Adapter | None = None) -> torch.Tensor:
    found = item_log_likelihoods(task.base, adapter, task.forget)
    return torch.stack([-own.double().mean() for own in found])


def test_a_reading_sums_an_item_s_choices_and_ranks_it_in_the_catalogue(task: ForgetTask):
    model = attach(task.base, task.adapter)
    sequence = task.forget[0]
    (reading,) = read(model, task.base.style, [sequence], ranked=2)
    assert len(reading.nll) == len(sequence) - 1
    # The scores among children of one leaf's first item are its log-probability.
    children = replace(task.base.style, score="children")
    scores = Scorer(model, children).scores([sequence[:-1]], mask_seen=False)
    assert float(-scores[0, sequence[-1]]) == pytest.approx(float(reading.nll[-1]), abs=1e-5)
    masked = Scorer(model, task.base.style).scores([sequence[:-1]])
    assert int(reading.ranks[-1]) == int(ranks(masked, torch.tensor([sequence[-1]])))
    (again,), divergence = compare(model, model, task.base.style, [sequence], ranked=2)
    torch.testing.assert_close(again.nll, reading.nll)
    assert (divergence.kl, divergence.positions) == (0.0, 3 * len(reading.nll))


def test_items_are_counted_once(task: ForgetTask):
    windows = Windows(task.base.style, task.forget, batch_size=1, seed=0)
    batches = list(windows.once())
    items = sum(len(sequence) - 1 for sequence in task.forget)
    assert predicted_items(batches) == items
    assert sum(int((batch.targets != IGNORED).sum()) for batch in batches) == 3 * items
    assert sum(batch.rows for batch in windows.sample(0, items=3)) == 3


def test_the_likelihood_of_an_item_is_that_of_its_tokens_together(task: ForgetTask):
    model = ChoiceModel(task.base, task.adapter)
    (batch,) = Windows(task.base.style, task.forget[:1], batch_size=8, seed=0).once()
    found = losses.log_likelihoods(model.logits(batch), batch.targets, "item", batch.events)
    (expected,) = item_log_likelihoods(task.base, task.adapter, task.forget[:1])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        found, losses.log_likelihoods(model.logits(batch), batch.targets, "sequence"), atol=1e-5, rtol=0
    )


def test_single_items_can_be_marked(task: ForgetTask):
    marks = [tuple(place in {1, 3} for place in range(len(sequence))) for sequence in task.forget]
    single = replace(task, forget_targets=tuple(marks))
    subjects = Subjects(ChoiceModel(task.base, task.adapter), single, batch_size=4, should_stop=None)
    found = item_log_likelihoods(task.base, task.adapter, task.forget)
    for own, expected, mark in zip(subjects.item_losses(), found, marks, strict=True):
        kept = torch.tensor(mark[1:])
        torch.testing.assert_close(own, -expected[kept].double(), atol=1e-5, rtol=0)


def test_least_change_reaches_the_level_of_a_re_fit(task: ForgetTask):
    refit = build_method("refit").run(task)
    before, level = nll(task, task.adapter), nll(task, refit.adapter)
    assert bool((before < level).all())
    least = build_method("least_change", {"repair_steps": 0})
    found = least.run(replace(task, never_seen_nll=tuple(level.tolist())))
    assert float((nll(task, found.adapter) - level).abs().max()) < 0.05


def test_an_evaluation_has_every_figure(task: ForgetTask, splits: tuple[Split, ...]):
    levels = levels_of_everybody(task, splits, epochs=2, smoothing=0.1, seed=1)
    inputs = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=task.forget, retained=splits[2:], seed=1, never_seen=levels[:2]
    )
    method = build_method("ucan")
    report = evaluate(inputs, method.run(task), method)
    plain = json.loads(report.to_json())
    assert plain["counts"]["subjects"] == 2
    assert all(math.isfinite(metric.value) for metric in report.metrics)


@pytest.mark.parametrize("name", ["gradient_ascent", "npo", "simnpo", "random_label", "pcgrad", "e2urec"])
def test_gradient_methods_move_the_subjects(task: ForgetTask, name: str):
    found = build_method(name).run(task)
    assert bool((nll(task, found.adapter) > nll(task, task.adapter)).any())


def test_divergences_are_per_choice(task: ForgetTask):
    same = mixture_divergence(task.base, task.adapter, [task.adapter], task.forget)
    assert (same.mean, same.positions) == (0.0, 3 * sum(len(sequence) - 1 for sequence in task.forget))


@pytest.mark.parametrize("name", ["least_change_output", "cure"])
def test_methods_that_need_a_token_for_each_item_say_so(task: ForgetTask, name: str):
    with pytest.raises(InvalidTask, match="this method cannot work here"):
        build_method(name).run(replace(task, never_seen_nll=(3.0, 3.0)))
