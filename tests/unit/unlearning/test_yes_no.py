"""Methods, levels, measures and the gate on a model that says yes or no: events have labels, and nothing is ranked."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from recommender import Split, TrainingConfig, leave_two_out
from recommender.likeness import compare, measure
from recommender.text_base import yes_no_style
from tests.unit.unlearning.worlds import (
    CATALOGUE,
    ITEMS,
    assert_edits_the_adapter_or_says_beforehand_why_not,
    first_leave,
    levels_of_everybody,
    text_base,
)
from tests.unit.unlearning.worlds import ON_TWO_LAYERS as ADAPTER
from unlearning import (
    METHODS,
    EvaluationConfig,
    EvaluationInputs,
    ForgetTask,
    build_method,
    decide,
    default_policy,
    evaluate,
    utility_change,
)
from unlearning.evaluation.report import Report
from unlearning.evaluation.retained import evaluate_retained
from unlearning.gate.decision import decide_retained

SMOOTHING, FIRST = 0.2, 2
TRAINING = TrainingConfig(epochs=4, lr=2e-2, batch_size=8, patience=None, seed=3)
CONFIG = EvaluationConfig(max_retained=20, neighbours=2, relearning_steps=1)


@pytest.fixture(scope="module")
def splits() -> tuple[Split, ...]:
    """Each item or none of two is liked by chance."""
    draw = random.Random(0)
    return tuple(
        leave_two_out(
            [
                3 * item + draw.choice((1, 2))
                for item in draw.sample(range(ITEMS), FIRST + draw.choice([5, 7, 9]))
            ]
        )
        for _ in range(24)
    )


@pytest.fixture(scope="module")
def task(splits: tuple[Split, ...], tmp_path_factory: pytest.TempPathFactory) -> ForgetTask:
    style = yes_no_style(CATALOGUE, first_target=FIRST)
    panel = [
        [style.event(item, 1.0 + item % 5) for item in range(start, start + 6)] for start in range(0, 18, 3)
    ]
    base = text_base(tmp_path_factory.mktemp("yes-no"), style, panel)
    levels = {"never_seen_nll": (0.7, 0.7), "smoothing": SMOOTHING}
    return first_leave(2, splits, base, TRAINING, ADAPTER, seed=5, **levels)


@pytest.fixture(scope="module")
def inputs(task: ForgetTask, splits: tuple[Split, ...]) -> EvaluationInputs:
    return EvaluationInputs.prepare(
        task.base, task.adapter, subjects=task.forget, retained=splits[2:], seed=0, config=CONFIG
    )


@pytest.fixture(scope="module")
def report(task: ForgetTask, inputs: EvaluationInputs) -> Report:
    method = build_method("uniform_shrink")
    return evaluate(inputs, method.run(task), method)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_edits_the_adapter_or_says_beforehand_why_not(task: ForgetTask, name: str) -> None:
    assert_edits_the_adapter_or_says_beforehand_why_not(name, task)


def test_a_report_measures_labels_and_no_ranks(
    task: ForgetTask, inputs: EvaluationInputs, report: Report
) -> None:
    # The first two rated events of each are never asked about.
    assert report.counts.subject_items == sum(len(own) - FIRST for own in task.forget)
    reading = inputs.parent_measured.subjects[0]
    assert reading.liked is not None
    assert reading.liked.tolist() == [event % 3 == 2 for event in task.forget[0][FIRST:]]
    assert len(reading.ranks) == 0
    names = [metric.name for metric in report.metrics]
    assert not [name for name in names if "@" in name]
    assert {"forget_auc", "retained_member_auc", "test_auc", "validation_log_loss"} <= set(names)
    assert report.utility == ()
    assert report.auc is not None
    assert report.auc.users == 20
    assert report.auc.liked + report.auc.disliked == 40
    area = report.auc.parent
    assert area is not None
    assert 0 <= area <= 1
    assert report.held_out is not None
    assert Report.from_json(report.to_json()) == report


def test_the_gate_cannot_tell_and_says_so(report: Report) -> None:
    """A label says at most ln 2 of an event, and the default policy has no error rates for this style."""
    policy = replace(default_policy(), evaluation=CONFIG)
    verdict = decide(report, policy)
    membership = [
        reason for one in verdict.subjects for reason in one.reasons if reason.measure == "membership_z"
    ]
    assert [reason.passed for reason in membership] == [None, None]
    utility = next(
        reason for reason in verdict.reasons if reason.measure == "relative_change_of_held_out_auc"
    )
    assert utility.passed is not True
    assert not [reason for reason in verdict.reasons if "ndcg" in reason.measure]
    change = utility_change(report)
    assert change is not None
    assert change > -10


def test_a_consolidation_is_judged_by_labels_too(task: ForgetTask, splits: tuple[Split, ...]) -> None:
    method = build_method("uniform_shrink")
    found = evaluate_retained(
        task.base, task.adapter, method.run(task), method, retained=splits, seed=0, config=CONFIG
    )
    assert found.auc is not None
    assert found.utility == ()
    verdict = decide_retained(found, replace(default_policy(), evaluation=CONFIG))
    assert [reason.measure for reason in verdict.reasons] == [
        "relative_change_of_held_out_auc",
        "held_out_loss",
    ]


def test_levels_are_losses_among_two_labels(task: ForgetTask, splits: tuple[Split, ...]) -> None:
    levels = levels_of_everybody(task, splits, epochs=1, smoothing=SMOOTHING)
    # Never more than the smoothing lets a loss be: -ln(0.1).
    assert all(0 < level.smoothed_nll < 2.31 for level in levels)


def test_a_re_fit_is_compared_by_labels(task: ForgetTask, splits: tuple[Split, ...]) -> None:
    from recommender import attach

    style = task.base.style
    bare, adapted = (
        measure(model, style, splits) for model in (task.base.model, attach(task.base, task.adapter))
    )
    assert bare.ranks is None
    assert adapted.auc is not None
    found = compare(bare, adapted, adapted)
    assert found.users == len(splits)
    assert found.near
    plain = found.to_plain()
    assert set(plain["base"]) == {"training_nll", "held_out_nll", "auc"}
