import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Interrupted, Split
from unlearning import (
    Candidate,
    EvaluationConfig,
    EvaluationInputs,
    ForgetTask,
    NeverSeen,
    Report,
    build_method,
    evaluate,
)
from unlearning.errors import InvalidEvaluation, InvalidReport
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.matching import Covariates
from unlearning.evaluation.report import NeverSeenGain

CONFIG = EvaluationConfig(tail_items=2)


def prepare(task: ForgetTask, retained: tuple[Split, ...], **changes: Any) -> EvaluationInputs:
    usual = {"subjects": task.forget, "retained": retained, "seed": 5, "config": CONFIG}
    return EvaluationInputs.prepare(task.base, task.adapter, **(usual | changes))


@pytest.fixture(scope="module")
def inputs(task: ForgetTask, retained: tuple[Split, ...]) -> EvaluationInputs:
    return prepare(task, retained)


@pytest.fixture(scope="module")
def report(inputs: EvaluationInputs, task: ForgetTask) -> Report:
    method = build_method("ucan", {"threshold": 0.5})
    return evaluate(inputs, method.run(task), method)


def test_the_parent_measured_as_a_candidate_is_the_parent(inputs: EvaluationInputs, task: ForgetTask) -> None:
    method = build_method("do_nothing")
    found = evaluate(inputs, method.run(task), method)
    assert found.metrics == found.parent_metrics
    assert found.value("kl") == found.value("prediction_shift") == 0.0
    assert found.value("tradeoff@10") in (0.0, None)
    assert all(subject.candidate == subject.parent for subject in found.membership.subjects)
    assert all(outcome.candidate == outcome.parent for outcome in found.utility)
    assert found.provenance.candidate_digest == found.provenance.parent_digest


def test_the_bare_base_gains_nothing(inputs: EvaluationInputs, task: ForgetTask) -> None:
    method = build_method("uniform_shrink", {"factor": 0.0})
    found = evaluate(inputs, method.run(task), method)
    assert found.membership.run.candidate.gain == 0.0
    assert found.membership.auc == 0.5


def test_a_subjects_gain_is_the_mean_over_its_training_items(
    inputs: EvaluationInputs, report: Report
) -> None:
    first = report.membership.subjects[0]
    before = smoothed(inputs.base_readings.subject_readings[0].nll, 0.2, 40)
    after = smoothed(inputs.parent_measured.subjects[0].nll, 0.2, 40)
    assert first.parent.gain == pytest.approx(float((before - after).mean()))
    assert (first.index, first.items) == (0, len(inputs.subjects[0]))
    run = report.membership.run
    assert run.parent.gain == pytest.approx(sum(s.parent.gain for s in report.membership.subjects) / 3)
    assert run.items == sum(subject.items for subject in report.membership.subjects)
    assert run.parent.deviation < min(subject.parent.deviation for subject in report.membership.subjects)


def test_memory_is_measured_under_the_parent(inputs: EvaluationInputs, report: Report) -> None:
    reference = inputs.parent_evidence.reference
    memory = [reference.memory_of(len(subject)) for subject in inputs.subjects]
    assert [subject.memory for subject in report.membership.subjects] == memory
    assert [subject.memory_scale for subject in report.membership.subjects] == pytest.approx(
        [abs(value) for value in memory]
    )
    run = report.membership.run
    assert run.memory == pytest.approx(sum(memory) / 3)
    assert run.memory_scale == pytest.approx(sum(value**2 for value in memory) ** 0.5 / 3)


def test_the_reference_is_the_held_out_items(inputs: EvaluationInputs) -> None:
    reference, readings = inputs.parent_evidence.reference, inputs.base_readings
    assert reference.users == len(inputs.retained) == 37
    for place, split in enumerate(inputs.retained):
        before = smoothed(readings.retained_readings[place].nll, 0.2, 40)[-2:]
        after = smoothed(inputs.parent_measured.retained[place].nll, 0.2, 40)[-2:]
        popularity = readings.popularity[torch.tensor([split.validation, split.test])]
        at = Covariates(torch.tensor([len(split.train), len(split.train) + 1]), popularity)
        residuals = reference.residuals[2 * place : 2 * place + 2]
        torch.testing.assert_close(before - after - reference.expected(at), residuals)


def test_levels_become_the_gains_of_a_model_that_never_saw_the_subjects(
    inputs: EvaluationInputs, task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    levels = [NeverSeen(2.5, 0.3, 1.5), NeverSeen(2.8, 0.4, 1.4), NeverSeen(3.0, 1.2, 1.3)]
    known = prepare(
        task,
        retained,
        never_seen=levels,
    )
    method = build_method("do_nothing")
    membership = evaluate(known, method.run(task), method).membership
    gains, seen = [], []
    for place, (subject, level) in enumerate(zip(membership.subjects, levels, strict=True)):
        base = float(smoothed(inputs.base_readings.subject_readings[place].nll, 0.2, 40).mean())
        gains.append(base - level.smoothed_nll)
        seen.append(base - level.seen_smoothed_nll)
        assert subject.never_seen == NeverSeenGain(
            pytest.approx(gains[-1]), level.deviation, pytest.approx(seen[-1])
        )
    # All together: the mean gains, and a third of hypot(0.3, 0.4, 1.2) = 1.3.
    assert membership.run.never_seen == NeverSeenGain(
        pytest.approx(sum(gains) / 3), pytest.approx(1.3 / 3), pytest.approx(sum(seen) / 3)
    )


@pytest.mark.parametrize("exact", [True, False])
def test_an_exact_parent_is_asked_itself_what_a_member_shows(
    task: ForgetTask, retained: tuple[Split, ...], exact: bool
) -> None:
    known = prepare(
        task,
        retained,
        never_seen=[NeverSeen(2.5, 0.3, 1.5)] * 3,
        parent_is_exact=exact,
    )
    method = build_method("do_nothing")
    for subject in evaluate(known, method.run(task), method).membership.subjects:
        assert subject.never_seen is not None
        of_parent = subject.never_seen.seen == pytest.approx(subject.parent.gain, abs=1e-6)
        assert of_parent is exact
        assert exact or subject.never_seen.seen == pytest.approx(subject.never_seen.expected + 1.0)


@pytest.mark.parametrize("levels", [1, 4])
def test_levels_of_other_subjects_are_refused(
    task: ForgetTask, retained: tuple[Split, ...], levels: int
) -> None:
    with pytest.raises(InvalidEvaluation, match="one level per subject"):
        prepare(
            task,
            retained,
            never_seen=[NeverSeen(2.5, 0.3, 1.5)] * levels,
        )


def test_levels_of_whole_users_do_not_fit_single_interactions(
    task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    marks = [[True] + [False] * (len(subject) - 1) for subject in task.forget]
    with pytest.raises(InvalidEvaluation, match="all of the subjects' items"):
        prepare(
            task,
            retained,
            counted=marks,
            never_seen=[NeverSeen(2.5, 0.3, 1.5)] * 3,
        )


def test_popularity_counts_retained_users_once(inputs: EvaluationInputs) -> None:
    item = inputs.retained[0].train[0]
    expected = sum(item in split.train for split in inputs.retained)
    assert int(inputs.base_readings.popularity[item]) == expected


def test_the_counts_and_the_origin_are_on_record(report: Report, task: ForgetTask) -> None:
    assert report.counts.subjects == 3
    assert report.counts.subject_items == sum(map(len, task.forget))
    assert (report.counts.retained, report.counts.retained_available) == (37, 37)
    assert (report.method, report.exact, report.seed) == ("ucan", False, 5)
    assert report.method_config["threshold"] == 0.5
    assert report.provenance.base_digest == task.base.digest
    assert {"python", "torch", "peft"} <= report.provenance.library_versions.keys()
    # Windows: nine of the forty users have more than 13 items.
    assert report.cost.forwards == 49


def test_a_report_survives_the_round_trip(report: Report) -> None:
    assert Report.from_json(report.to_json()) == report
    assert Report.from_json(report.to_json()).to_json() == report.to_json()


def test_a_foreign_report_is_refused(report: Report) -> None:
    content = json.loads(report.to_json())
    with pytest.raises(InvalidReport, match="not JSON"):
        Report.from_json("{")
    with pytest.raises(InvalidReport, match="schema"):
        Report.from_json(json.dumps(content | {"schema": "lethe.report/0"}))
    with pytest.raises(InvalidReport, match="has no field extra"):
        Report.from_json(json.dumps(content | {"extra": 1}))
    with pytest.raises(InvalidReport, match="no metric 'recall'; it has kl"):
        report.value("recall")


def test_no_user_can_be_read_off_a_report(task: ForgetTask, retained: tuple[Split, ...]) -> None:
    """A permutation of the retained users gives the same report, except for the cost."""
    method = build_method("uniform_shrink")
    candidate = method.run(task)

    def measure(order: tuple[Split, ...]) -> Report:
        return evaluate(prepare(task, order), candidate, method)

    assert measure(retained).utility == measure(retained[::-1]).utility


def test_a_large_population_is_sampled_with_the_seed(task: ForgetTask, retained: tuple[Split, ...]) -> None:
    config = replace(CONFIG, max_retained=10)

    one, same, other = (prepare(task, retained, seed=seed, config=config) for seed in (5, 5, 6))
    assert one.retained == same.retained != other.retained
    assert (len(one.retained), one.retained_available) == (10, 37)


@pytest.mark.parametrize(
    ("subjects", "count", "message"),
    [((), 37, "at least one subject"), (((1,), ()), 37, "each needs"), (((1,),), 1, "at least two retained")],
)
def test_too_little_to_evaluate_is_an_error(
    task: ForgetTask,
    retained: tuple[Split, ...],
    subjects: tuple[tuple[int, ...], ...],
    count: int,
    message: str,
) -> None:
    with pytest.raises(InvalidEvaluation, match=message):
        prepare(task, retained[:count], subjects=subjects)


def test_evaluation_can_be_stopped(inputs: EvaluationInputs, task: ForgetTask) -> None:
    method = build_method("do_nothing")
    candidate: Candidate = method.run(task)
    with pytest.raises(Interrupted):
        evaluate(inputs, candidate, method, should_stop=lambda: True)


@pytest.mark.parametrize(
    "change",
    [
        {"smoothing": 1.0},
        {"smoothing": -0.1},
        {"tail_items": 0},
        {"bins": 0},
        {"max_retained": 0},
        {"neighbours": -1},
        {"relearning_steps": -1},
    ],
)
def test_a_measurement_out_of_range_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InvalidEvaluation):
        replace(CONFIG, **change)


def test_inputs_for_some_of_the_subjects_are_those_prepared_for_them(
    inputs: EvaluationInputs, task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    alone = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=[task.forget[2]], retained=retained, seed=5, config=CONFIG
    )
    method = build_method("ucan", {"threshold": 0.5})
    candidate = method.run(task)
    found = evaluate(inputs.only([2]), candidate, method)
    expected = evaluate(alone, candidate, method)
    assert found.counts == expected.counts
    own, same = found.membership.run, expected.membership.run
    assert (own.items, own.memory, own.parent.deviation) == pytest.approx(
        (same.items, same.memory, same.parent.deviation), rel=1e-5
    )
    assert (own.candidate.gain, own.parent.gain) == pytest.approx(
        (same.candidate.gain, same.parent.gain), rel=1e-4
    )
    assert found.value("forget_nll") == pytest.approx(expected.value("forget_nll"), rel=1e-4)
    before, alone = ({one.name: one.value for one in each.parent_metrics} for each in (found, expected))
    assert before["forget_nll"] == pytest.approx(alone["forget_nll"], rel=1e-4)
    assert evaluate(inputs.only([0, 1, 2]), candidate, method) == evaluate(inputs, candidate, method)
    with pytest.raises(InvalidEvaluation):
        inputs.only([])
