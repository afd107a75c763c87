"""A forget task and its evaluation, from a population and the places of those to forget."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.fits import Regime
from benchmarks.population import Population
from recommender import Adapter, Base
from unlearning import ActivationStatistics, EvaluationInputs, ForgetTask, Policy


def prepare(
    population: Population,
    forget: Sequence[int],
    base: Base,
    parent: Adapter,
    statistics: ActivationStatistics,
    *,
    seed: int,
    policy: Policy,
    regime: Regime,
) -> tuple[ForgetTask, EvaluationInputs]:
    """The task of forgetting these service users, and what its candidates are measured on."""
    chosen = set(forget)
    retained = [split for place, split in enumerate(population.service) if place not in chosen]
    task = ForgetTask(
        base=base,
        adapter=parent,
        forget=tuple(population.service[place].train for place in forget),
        retain=tuple(split.train for split in retained),
        retain_validation=(),
        statistics=statistics,
        training=regime.training(seed),
        adapter_config=regime.adapter_config,
        seed=seed,
    )
    inputs = EvaluationInputs.prepare(
        base, parent, subjects=task.forget, retained=retained, seed=seed, config=policy.evaluation
    )
    return task, inputs
