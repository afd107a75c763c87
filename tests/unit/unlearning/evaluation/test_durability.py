from dataclasses import replace

import pytest

from recommender import Interrupted, Split
from unlearning import EvaluationConfig, EvaluationInputs, ForgetTask
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.attacks.relearning import RelearningConfig, relearning_curve
from unlearning.attacks.rounding import rounded
from unlearning.evaluation.durability import attackable, checkpoints, measure_durability
from unlearning.evaluation.gains import smoothed


@pytest.fixture(scope="module")
def inputs(task: ForgetTask, splits: tuple[Split, ...]) -> EvaluationInputs:
    """Subjects: the three longest histories, of sixteen training items each, and one that is too short to attack."""
    longest = sorted(splits, key=lambda split: -len(split.train))[:3]
    shortest = min(splits, key=lambda split: len(split.train))
    left = (*longest, shortest)
    return EvaluationInputs.prepare(
        task.base,
        task.adapter,
        subjects=[split.train for split in left],
        retained=[split for split in splits if split not in left],
        seed=5,
        config=EvaluationConfig(tail_items=2),
    )


def test_who_can_be_attacked() -> None:
    # A tenth of 15 items is two; of 14, one.
    assert attackable([14, 15, 200, 3], seed=0) == (1, 2)
    assert attackable([14], seed=0) == ()
    many = attackable([20] * 30, seed=1)
    assert len(many) == len(set(many)) == 8
    assert many == tuple(sorted(many)) == attackable([20] * 30, seed=1)
    assert many != attackable([20] * 30, seed=2)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(1, (0, 1)), (2, (0, 1, 2)), (3, (0, 1, 2, 3)), (8, (0, 1, 2, 4, 8)), (9, (0, 1, 2, 4, 8, 9))],
)
def test_an_attack_is_measured_ever_more_rarely(steps: int, expected: tuple[int, ...]) -> None:
    assert checkpoints(steps) == expected


def test_the_gain_after_rounding_is_that_of_the_rounded_adapter(
    inputs: EvaluationInputs, task: ForgetTask
) -> None:
    found = measure_durability(inputs, task.adapter)
    likelihoods = item_log_likelihoods(task.base, rounded(task.adapter, 8), inputs.subjects)
    gains = [
        float((smoothed(base.nll, 0.2, 40) - smoothed(-own, 0.2, 40)).mean())
        for base, own in zip(inputs.base_readings.subject_readings, likelihoods, strict=True)
    ]
    assert found.rounded_gain == pytest.approx(sum(gains) / 4, abs=1e-6)
    # The subjects' whole gain is measured, so the rounded one is close to the parent's but not the same.
    whole = inputs.parent_evidence.mean_gain(range(4)).gain
    assert found.rounded_gain == pytest.approx(whole, abs=0.05)
    assert found.rounded_gain != whole


def test_the_attack_is_the_audits_on_those_with_enough_items(
    inputs: EvaluationInputs, task: ForgetTask
) -> None:
    found = measure_durability(inputs, task.adapter).relearning
    assert found is not None
    curve = relearning_curve(
        task.base,
        task.adapter,
        inputs.subjects[:3],
        config=RelearningConfig(share=0.1, checkpoints=(0, 1, 2, 4, 8), seed=5),
    )
    assert (found.subjects, found.steps, found.nll) == (3, (0, 1, 2, 4, 8), curve.nll)
    # A tenth of three times sixteen.
    assert (found.attacked, found.measured) == (5, 43)
    assert found.gain == curve.nll[0] - min(curve.nll)
    assert measure_durability(inputs, task.adapter).relearning == found


def test_no_attack_where_none_is_asked_for(inputs: EvaluationInputs, task: ForgetTask) -> None:
    quiet = replace(inputs, config=replace(inputs.config, relearning_steps=0))
    assert measure_durability(quiet, task.adapter).relearning is None


def test_it_can_be_stopped(inputs: EvaluationInputs, task: ForgetTask) -> None:
    with pytest.raises(Interrupted):
        measure_durability(inputs, task.adapter, should_stop=lambda: True)
