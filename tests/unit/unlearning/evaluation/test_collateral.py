import math
from dataclasses import replace

import pytest
import torch

from recommender import Split
from unlearning import EvaluationConfig, EvaluationInputs, ForgetTask, build_method, evaluate
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.collateral import nearest_retained, neighbour_evidence
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.reading import Reading

PLAIN = EvaluationConfig(smoothing=0.0)


def reading(*nll: float) -> Reading:
    return Reading(torch.tensor(nll), torch.ones(len(nll), dtype=torch.int64))


def test_losses_are_averaged_user_by_user() -> None:
    parent = [reading(1.0, 1.0, 4.0, 4.0), reading(2.0, 2.0, 2.0, 2.0, 5.0, 5.0)]
    candidate = [reading(2.0, 2.0, 4.0, 5.0), reading(2.0, 2.0, 2.0, 4.0, 5.0, 6.0)]
    found = neighbour_evidence(parent, candidate, PLAIN, items=10)
    # Training: +1 and +0.5, each user alike; held out: +0.5 and +0.5.
    assert found is not None
    assert (found.users, found.training, found.held_out) == (2, 0.75, 0.5)
    assert neighbour_evidence([], [], PLAIN, items=10) is None


def test_losses_are_smoothed() -> None:
    surprised = [reading(math.inf, 0.0, 0.0)]
    found = neighbour_evidence([reading(0.0, 0.0, 0.0)], surprised, EvaluationConfig(smoothing=0.2), items=10)
    # Probability 1 becomes 0.82, probability 0 becomes 0.02.
    assert found is not None
    assert found.training == pytest.approx(math.log(0.82 / 0.02))


def test_the_nearest_of_every_subject() -> None:
    retained = [(1, 2, 3), (7, 8), (1, 2, 9), (4, 5)]
    assert nearest_retained([(1, 2, 3)], retained, 2) == ((0, 2),)
    assert nearest_retained([(1, 2, 3), (1, 2, 9)], retained, 1) == ((0,), (2,))
    assert nearest_retained([(4, 5)], retained, 9) == ((0, 1, 2, 3),)
    assert nearest_retained([(4, 5), (7,)], retained, 0) == ((), ())


def test_many_subjects_have_fewer_neighbours_each() -> None:
    retained = [(user, user + 1) for user in range(300)]

    def each(subjects: int) -> set[int]:
        wanted = [(user, user + 1) for user in range(subjects)]
        return {len(own) for own in nearest_retained(wanted, retained, 50)}

    assert [each(count) for count in (1, 4, 10, 64)] == [{50}, {50}, {20}, {10}]


def test_a_part_of_the_subjects_keeps_its_own_neighbours(
    task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    config = EvaluationConfig(neighbours=4, relearning_steps=0, max_retained=10)

    def prepare(subjects: tuple[tuple[int, ...], ...]) -> EvaluationInputs:
        return EvaluationInputs.prepare(
            task.base, task.adapter, subjects=subjects, retained=retained, seed=5, config=config
        )

    part, alone = prepare(task.forget).only([1]), prepare(task.forget[1:2])
    assert [part.histories[place] for place in part.neighbours] == [
        alone.histories[place] for place in alone.neighbours
    ]
    read, again = part.parent_measured.neighbours, alone.parent_measured.neighbours
    assert len(read) == len(again) == 4
    for one, other in zip(read, again, strict=True):
        torch.testing.assert_close(one.nll, other.nll)


def test_neighbours_are_found_outside_the_sample(task: ForgetTask, retained: tuple[Split, ...]) -> None:
    config = EvaluationConfig(neighbours=4, relearning_steps=0)

    def prepare(most: int | None) -> EvaluationInputs:
        return EvaluationInputs.prepare(
            task.base,
            task.adapter,
            subjects=task.forget,
            retained=retained,
            seed=5,
            config=replace(config, max_retained=most),
        )

    whole, sampled = prepare(None), prepare(10)
    found = nearest_retained(task.forget, [split.train for split in retained], 4)
    near = sorted({place for own in found for place in own})
    assert list(whole.neighbours) == near
    assert len(sampled.retained) == len(sampled.parent_measured.retained) == 10
    assert len(sampled.histories) > 10
    assert {sampled.histories[place] for place in sampled.neighbours} == {
        (*retained[place].train, retained[place].validation, retained[place].test) for place in near
    }
    method = build_method("uniform_shrink")
    candidate = method.run(task)
    report, other = evaluate(whole, candidate, method), evaluate(sampled, candidate, method)
    assert report.neighbours is not None
    assert other.neighbours is not None
    assert report.neighbours.users == len(near)
    assert other.neighbours.training == pytest.approx(report.neighbours.training, abs=1e-6)
    assert other.neighbours.held_out == pytest.approx(report.neighbours.held_out, abs=1e-6)
    assert report.neighbours.training > 0
    assert other.counts.retained == 10


def test_the_parent_takes_nothing_from_anybody(task: ForgetTask, retained: tuple[Split, ...]) -> None:
    inputs = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=task.forget, retained=retained, seed=5, config=PLAIN
    )
    method = build_method("do_nothing")
    found = evaluate(inputs, method.run(task), method).neighbours
    assert found is not None
    assert (found.users, found.training, found.held_out) == (37, 0.0, 0.0)


def test_whose_single_items_are_forgotten_has_no_neighbours(
    task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    marks = [(True, *[False] * (len(own) - 1)) for own in task.forget]
    inputs = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=task.forget, counted=marks, retained=retained, seed=5, config=PLAIN
    )
    assert inputs.neighbours == ()
    method = build_method("do_nothing")
    report = evaluate(inputs, method.run(task), method)
    assert report.neighbours is None
    assert report.durability is not None
    assert report.durability.relearning is None
    assert report.durability.rounded_gain == pytest.approx(report.membership.run.parent.gain, abs=0.05)


def test_the_candidate_is_read_on_whole_histories(task: ForgetTask, retained: tuple[Split, ...]) -> None:
    config = EvaluationConfig(neighbours=1, smoothing=0.3, relearning_steps=0)
    inputs = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=task.forget[:1], retained=retained, seed=5, config=config
    )
    method = build_method("uniform_shrink")
    candidate = method.run(task)
    found = evaluate(inputs, candidate, method).neighbours
    (place,) = inputs.neighbours
    before, after = (
        smoothed(-item_log_likelihoods(task.base, adapter, [inputs.histories[place]])[0], 0.3, 40)
        for adapter in (task.adapter, candidate.adapter)
    )
    assert found is not None
    assert found.training == pytest.approx(float((after - before)[:-2].mean()), abs=1e-6)
    assert found.held_out == pytest.approx(float((after - before)[-2:].mean()), abs=1e-6)
