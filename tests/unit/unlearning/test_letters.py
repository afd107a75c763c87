"""Methods, levels and the gate's measures on a model that reads titles: they speak of choices, not of item tokens."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from recommender import Split, TrainingConfig, leave_two_out
from recommender.text_base import letters_style
from tests.unit.unlearning.worlds import (
    CATALOGUE,
    ITEMS,
    assert_edits_the_adapter_or_says_beforehand_why_not,
    first_leave,
    levels_of_everybody,
    text_base,
)
from tests.unit.unlearning.worlds import ON_TWO_LAYERS as ADAPTER
from unlearning import METHODS, EvaluationConfig, EvaluationInputs, ForgetTask, build_method, evaluate
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.reading import read

SMOOTHING = 0.2
TRAINING = TrainingConfig(epochs=6, lr=2e-2, batch_size=8, patience=None, seed=3)
CONFIG = EvaluationConfig(max_retained=20, neighbours=2, relearning_steps=1)


@pytest.fixture(scope="module")
def splits() -> tuple[Split, ...]:
    generator = random.Random(0)
    return tuple(
        leave_two_out(generator.sample(range(ITEMS), generator.choice([5, 7, 9]))) for _ in range(24)
    )


@pytest.fixture(scope="module")
def letters_task(splits: tuple[Split, ...], tmp_path_factory: pytest.TempPathFactory) -> ForgetTask:
    style = letters_style(CATALOGUE, labels="ABCD", draws=2)
    panel = [list(range(start, start + 6)) for start in range(0, 18, 3)]
    base = text_base(tmp_path_factory.mktemp("letters"), style, panel)
    return first_leave(2, splits, base, TRAINING, ADAPTER, seed=5)


@pytest.fixture(scope="module")
def levelled(letters_task: ForgetTask, splits: tuple[Split, ...]) -> ForgetTask:
    levels = levels_of_everybody(letters_task, splits, epochs=2, smoothing=SMOOTHING)
    assert all(0 < level.smoothed_nll < 3 for level in levels)
    return replace(
        letters_task,
        never_seen_nll=tuple(level.smoothed_nll for level in levels[:2]),
        smoothing=SMOOTHING,
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_method_edits_the_adapter_or_says_beforehand_why_not(levelled: ForgetTask, name: str) -> None:
    assert_edits_the_adapter_or_says_beforehand_why_not(name, levelled)


def test_least_change_raises_the_subjects_losses_to_their_levels(levelled: ForgetTask) -> None:
    from recommender import attach
    from unlearning.methods.ladder.least_change.subjects import Subjects
    from unlearning.methods.shared.descent import ChoiceModel

    found = build_method("least_change").run(levelled).adapter
    model = ChoiceModel(levelled.base, found)
    losses = Subjects(model, levelled, batch_size=8, should_stop=None).losses()
    assert levelled.never_seen_nll is not None
    before = Subjects(
        ChoiceModel(levelled.base, levelled.adapter), levelled, batch_size=8, should_stop=None
    ).losses()
    for subject, level in enumerate(levelled.never_seen_nll):
        if before[subject] < level:
            assert float(losses[subject]) == pytest.approx(level, abs=0.1)
    # The gate reads other draws of the candidates than the method did.
    readings = read(attach(levelled.base, found), levelled.base.style, levelled.forget, ranked=0)
    assert all(
        len(reading.nll) == len(own) - 1 for reading, own in zip(readings, levelled.forget, strict=True)
    )


def test_a_report_counts_what_the_style_predicts(letters_task: ForgetTask, splits: tuple[Split, ...]) -> None:
    inputs = EvaluationInputs.prepare(
        letters_task.base,
        letters_task.adapter,
        subjects=letters_task.forget,
        retained=splits[2:],
        seed=0,
        config=CONFIG,
    )
    method = build_method("uniform_shrink")
    report = evaluate(inputs, method.run(letters_task), method)
    # The first event of each is never a target.
    assert report.counts.subject_items == sum(len(own) - 1 for own in letters_task.forget)
    assert all(1 <= rank <= 4 for rank in inputs.parent_measured.test_ranks.tolist())
    assert report.held_out is not None
    assert report.held_out.users == 20
    reading = inputs.parent_measured.subjects[0]
    at_most = float(smoothed(torch.tensor([50.0]), SMOOTHING, 4)[0])
    assert float(smoothed(reading.nll, SMOOTHING, 4).max()) <= at_most


def test_nobody_is_measured_of_whom_nothing_is_predicted(
    letters_task: ForgetTask, splits: tuple[Split, ...]
) -> None:
    from unlearning.errors import InvalidEvaluation

    with pytest.raises(InvalidEvaluation, match="predicted training item"):
        EvaluationInputs.prepare(
            letters_task.base,
            letters_task.adapter,
            subjects=[(3,)],
            retained=splits[2:],
            seed=0,
            config=CONFIG,
        )
