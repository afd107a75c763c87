import pytest

from benchmarks.gate.trials import Plan, Trial
from benchmarks.study.variants import Tuned
from benchmarks.study.workshop import Workshop


def test_a_plan_is_every_deletion_of_every_world() -> None:
    plan = Plan("report", worlds=2, deletions=3)
    assert [(trial.number, trial.index) for trial in plan.trials()] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)
    ]  # fmt: skip


def test_who_is_forgotten_determines_the_cell(workshop: Workshop) -> None:
    plans = (Plan("report", 2, 2), Plan("development", 2, 2))
    keys = [key for plan in plans for trial in plan.trials() for key in trial.keys(workshop)]
    assert len(set(keys)) == len(keys) == 8
    assert Trial(plans[0], 1, 1).keys(workshop) == [keys[3]]


def test_a_methods_configuration_determines_the_cell(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(Plan("report", 1, 1), 0, 0)
    before = trial.keys(workshop)
    monkeypatch.setattr(Tuned, "load", lambda: Tuned({"single": {"gradient_ascent": {"lr": 0.123}}}))
    assert trial.keys(workshop) != before
