from dataclasses import replace

import pytest

from recommender import Interrupted, Split
from unlearning import (
    EvaluationConfig,
    EvaluationInputs,
    ForgetTask,
    Refit,
    build_method,
    evaluate,
    evaluate_retained,
)

CONFIG = EvaluationConfig(tail_items=2)


def test_it_measures_the_retained_users_as_the_whole_evaluation_does(
    task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    method = build_method("uniform_shrink")
    candidate = method.run(task)
    inputs = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=task.forget, retained=retained, seed=5, config=CONFIG
    )
    whole = evaluate(inputs, candidate, method)
    found = evaluate_retained(
        task.base, task.adapter, candidate, method, retained=retained, seed=5, config=CONFIG
    )
    assert found.utility == whole.utility
    assert found.provenance == whole.provenance
    assert found.cost == whole.cost
    names = {metric.name for metric in found.metrics}
    assert {"retained_member_nll", "retained_member_recall@10", "validation_ndcg@10", "test_mrr@10"} <= names
    for mine, theirs in ((found.metrics, whole.metrics), (found.parent_metrics, whole.parent_metrics)):
        assert set(mine) <= set(theirs)


def test_the_parent_measured_as_a_candidate_loses_nothing(
    task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    method = build_method("do_nothing")
    found = evaluate_retained(
        task.base, task.adapter, method.run(task), method, retained=retained, seed=5, config=CONFIG
    )
    assert found.metrics == found.parent_metrics
    assert all(outcome.parent == outcome.candidate for outcome in found.utility)


def test_a_large_population_is_sampled_as_the_gate_samples_it(
    task: ForgetTask, retained: tuple[Split, ...]
) -> None:
    config = replace(CONFIG, max_retained=10)
    method = build_method("uniform_shrink")
    candidate = method.run(task)
    inputs = EvaluationInputs.prepare(
        task.base, task.adapter, subjects=task.forget, retained=retained, seed=6, config=config
    )
    found = evaluate_retained(
        task.base, task.adapter, candidate, method, retained=retained, seed=6, config=config
    )
    assert (found.retained, found.retained_available) == (10, 37)
    assert found.utility == evaluate(inputs, candidate, method).utility


def test_it_can_be_stopped(task: ForgetTask, retained: tuple[Split, ...]) -> None:
    method = Refit()
    candidate = build_method("do_nothing").run(task)
    with pytest.raises(Interrupted):
        evaluate_retained(
            task.base, task.adapter, candidate, method, retained=retained, seed=0, should_stop=lambda: True
        )
