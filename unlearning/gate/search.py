"""Search for a method's strength inside a run, by the membership z of its subjects.

A strength that suits a batch of users is far too much for one user, and the reverse, so a policy cannot fix it. The
search bisects on the gate's own measure: the membership z of all subjects together is above 0 while they are still
known, and below 0 when the adapter predicts them worse than anybody it never saw. The target is 0. With cross-fitted
levels one value costs a forward pass over the subjects. Without them the band depends on the candidate, and one value
costs an evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recommender import Interrupted, RecommenderError
from unlearning.errors import Diverged, UnlearningError
from unlearning.evaluation.durability import mean_gain
from unlearning.evaluation.evaluate import evaluate, never_seen_gain
from unlearning.evaluation.inputs import EvaluationInputs
from unlearning.evaluation.report import Report
from unlearning.gate.band import Band, z_score
from unlearning.methods.method import Candidate, ForgetTask, Method
from unlearning.methods.registry import build_method
from unlearning.policy.policy import Policy, Rung, Search
from unlearning.progress import OnStep, ShouldStop

CLOSE_ENOUGH = 0.25


@dataclass(frozen=True)
class Trial:
    """One value that was tried, and the run's membership z there; None if the value gave no figure."""

    value: float
    z: float | None


@dataclass(frozen=True)
class Found:
    """A candidate, the method as configured for it, its report, and every value tried; none without a search."""

    method: Method
    config: dict[str, Any]
    candidate: Candidate
    report: Report
    trail: tuple[Trial, ...] = ()


def search_strength(
    rung: Rung,
    search: Search,
    task: ForgetTask,
    inputs: EvaluationInputs,
    policy: Policy,
    *,
    on_step: OnStep | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    should_stop: ShouldStop | None = None,
) -> Found:
    """Try at most `search.steps` strengths of the rung's method; stop early once |z| is at most 0.25.

    Each value costs one run of the method and one measurement of its z; the best one costs an evaluation too. All of
    them share what the task has cached. A value at which the method fails, or ruins the adapter, counts as too strong.
    `on_trial` gets each value as soon as it has been tried.

    Raises:
        UnlearningError, RecommenderError: the method failed at every value.
        Interrupted: `should_stop` answered yes.
    """
    low, high = search.low, search.high
    trail: list[Trial] = []

    def tried(trial: Trial) -> None:
        trail.append(trial)
        if on_trial is not None:
            on_trial(trial)

    best: tuple[float, Method, dict[str, Any], Candidate, Report | None] | None = None
    failure: Exception | None = None
    for _ in range(search.steps):
        value = search.middle(low, high)
        config = {**rung.config, search.field: value}
        method = build_method(rung.method, config)
        try:
            candidate = method.run(task, on_step=on_step, should_stop=should_stop)
            z, report = _membership_z(inputs, candidate, method, policy, should_stop)
        except Interrupted:
            raise
        except (UnlearningError, RecommenderError) as problem:
            failure, high = problem, value
            tried(Trial(value, None))
            continue
        tried(Trial(value, z if math.isfinite(z) else None))
        distance = abs(z) if math.isfinite(z) else math.inf
        if best is None or distance < best[0]:
            best = (distance, method, config, candidate, report)
        if abs(z) <= CLOSE_ENOUGH:
            break
        low, high = (value, high) if z > 0 else (low, value)
    if best is None:
        assert failure is not None  # a search has at least one step
        raise failure
    _, method, config, candidate, report = best
    if report is None:
        report = evaluate(inputs, candidate, method, should_stop=should_stop)
    return Found(method, config, candidate, report, tuple(trail))


def _membership_z(
    inputs: EvaluationInputs,
    candidate: Candidate,
    method: Method,
    policy: Policy,
    should_stop: ShouldStop | None,
) -> tuple[float, Report | None]:
    """The subjects' membership z together, and the report if an evaluation was needed for it."""
    known = never_seen_gain(inputs, range(len(inputs.subjects)))
    if known is None:
        report = evaluate(inputs, candidate, method, should_stop=should_stop)
        return z_score(report.membership.run, policy), report
    gain = mean_gain(inputs, candidate.adapter, should_stop=should_stop)
    if not math.isfinite(gain):
        raise Diverged("the subjects' losses are not finite")
    return Band.around(known, policy).z(gain), None
