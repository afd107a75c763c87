"""The search for a strength, with a real method on a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from recommender import Interrupted, Split
from tests.unit.unlearning.examples import POLICY
from unlearning import (
    EvaluationInputs,
    ForgetTask,
    Found,
    NeverSeen,
    Report,
    Rung,
    Search,
    build_method,
    collect_statistics,
    evaluate,
    search_strength,
)
from unlearning.errors import Diverged, InvalidPolicy
from unlearning.gate.band import z_score
from unlearning.gate.search import CLOSE_ENOUGH

ASCENT = Rung("gradient_ascent", {"steps": 5})


@pytest.fixture(scope="module")
def inputs(task: ForgetTask, retained: tuple[Split, ...]) -> EvaluationInputs:
    return EvaluationInputs.prepare(
        task.base,
        task.adapter,
        subjects=task.forget,
        retained=retained,
        seed=task.seed,
        config=POLICY.evaluation,
    )


@pytest.fixture(scope="module")
def searched(task: ForgetTask, inputs: EvaluationInputs) -> Callable[..., Found]:
    return lambda rung, search: search_strength(rung, search, task, inputs, POLICY)


def test_the_search_finds_what_no_bound_of_the_interval_gives(
    task: ForgetTask, inputs: EvaluationInputs, searched: Callable[..., Found]
) -> None:
    search = Search("lr", 1e-4, 1e-1, steps=7)

    def z_at(lr: float) -> float:
        method = build_method("gradient_ascent", {"steps": 5, "lr": lr})
        return z_score(evaluate(inputs, method.run(task), method).membership.run, POLICY)

    found = searched(ASCENT, search)
    z = z_score(found.report.membership.run, POLICY)
    assert abs(z) <= CLOSE_ENOUGH < min(abs(z_at(search.low)), abs(z_at(search.high)))
    # Method, configuration and candidate belong together, and a second run gives the same candidate.
    assert found.config == {"steps": 5, "lr": found.trail[-1].value}
    assert found.method == build_method("gradient_ascent", found.config)
    assert found.report.method_config["lr"] == found.config["lr"]
    assert z_at(found.config["lr"]) == pytest.approx(z)


def test_each_value_lies_half_way_on_the_side_where_zero_is(searched: Callable[..., Found]) -> None:
    found = searched(ASCENT, Search("lr", 1e-4, 1e-1, steps=7))
    low, high = 1e-4, 1e-1
    assert 2 <= len(found.trail) <= 7
    for trial in found.trail:
        assert trial.value == pytest.approx((low * high) ** 0.5)
        assert trial.z is not None
        low, high = (trial.value, high) if trial.z > 0 else (low, trial.value)
    assert all(abs(trial.z or 0.0) > CLOSE_ENOUGH for trial in found.trail[:-1])


def test_the_nearest_is_kept_and_not_the_last(searched: Callable[..., Found]) -> None:
    found = searched(ASCENT, Search("lr", 1e-4, 1e-1, steps=2))
    nearest = min(found.trail, key=lambda trial: abs(trial.z or 0.0))
    assert found.config["lr"] == nearest.value
    assert len(found.trail) == 2


def test_known_levels_tell_the_same_without_an_evaluation(
    task: ForgetTask, retained: tuple[Split, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = POLICY.evaluation
    level = NeverSeen(smoothed_nll=3.2, deviation=0.2, seen_smoothed_nll=2.0)
    inputs = EvaluationInputs.prepare(
        task.base,
        task.adapter,
        subjects=task.forget,
        retained=retained,
        seed=task.seed,
        never_seen=[level] * len(task.forget),
        config=config,
    )
    evaluations = []

    def counted(*arguments: Any, **named: Any) -> Report:
        evaluations.append(1)
        return evaluate(*arguments, **named)

    monkeypatch.setattr("unlearning.gate.search.evaluate", counted)
    found = search_strength(ASCENT, Search("lr", 1e-4, 1e-1, steps=5), task, inputs, POLICY)
    assert len(found.trail) > 1
    assert len(evaluations) == 1
    nearest = min(found.trail, key=lambda trial: abs(trial.z or 0.0))
    assert z_score(found.report.membership.run, POLICY) == pytest.approx(nearest.z)


def test_a_method_too_weak_everywhere_ends_at_its_strongest(
    task: ForgetTask, inputs: EvaluationInputs
) -> None:
    """Every value uses the task's cached statistics."""
    cached = collect_statistics(task.base, task.adapter, [*task.forget, *task.retain])
    rung, search = Rung("ucan", {"threshold": 0.5}), Search("gamma", 0.5, 20.0, steps=3)
    found = search_strength(rung, search, replace(task, statistics=cached), inputs, POLICY)
    values = [trial.value for trial in found.trail]
    assert values == sorted(values)
    assert all(trial.z is not None and trial.z > 0 for trial in found.trail)
    assert found.report.cost.samples == len(task.forget) + 1  # one of the subjects fills two windows


def test_a_linear_scale_halves_the_difference(searched: Callable[..., Found]) -> None:
    found = searched(Rung("ucan", {"threshold": 0.5}), Search("gamma", 1.0, 5.0, steps=1, scale="linear"))
    assert found.config["gamma"] == 3.0


def test_a_value_that_wrecks_the_adapter_is_too_strong(searched: Callable[..., Found]) -> None:
    found = searched(ASCENT, Search("lr", 1e-9, 1e40, steps=5))
    assert found.trail[0].z is None
    assert found.trail[1].value < found.trail[0].value
    assert found.config["lr"] in [trial.value for trial in found.trail if trial.z is not None]
    with pytest.raises(Diverged):
        searched(ASCENT, Search("lr", 1e20, 1e30, steps=2))


def test_the_search_stops_when_asked(task: ForgetTask, inputs: EvaluationInputs) -> None:
    with pytest.raises(Interrupted):
        search_strength(ASCENT, Search("lr", 1e-4, 1e-1), task, inputs, POLICY, should_stop=lambda: True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 2.0, "high": 1.0}, "low must be less than high"),
        ({"low": 1.0, "high": 1.0}, "low must be less than high"),
        ({"high": float("inf")}, "low must be less than high"),
        ({"low": 0.0}, "greater than 0 on a log scale"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"scale": "cubic"}, "choose one of linear, log"),
    ],
)
def test_an_interval_that_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        Search(**{"field": "gamma", "low": 0.5, "high": 20.0, **values})  # type: ignore[arg-type]
