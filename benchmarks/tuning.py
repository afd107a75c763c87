"""Searches the methods' configurations on development users: `lethe bench tune`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from benchmarks.study import orders
from benchmarks.study.development import development_deletions
from benchmarks.study.search import TRIALS, chosen, trials
from benchmarks.study.session import Means, session
from benchmarks.study.variants import check_methods
from unlearning import METHODS

# This method has nothing to choose, and every trial would have to fit its shards.
_NOT_SEARCHED = ("sharded",)


def run(
    data: Path,
    *,
    methods: Sequence[str] = tuple(METHODS),
    **means: Unpack[Means],
) -> dict[str, Any]:
    """Try every configuration of every method; returns all distances and the choice, as JSON values.

    Raises:
        UnknownBenchmarkMethod: no method is named, or an unknown one.
    """
    check_methods(methods)
    with session(data, **means) as study:
        population = study.workshop.population
        wanted = [orders.parent(population, 0), *orders.level_fits(population, 0)]
        for own in development_deletions(population).values():
            wanted += [*orders.references(own[0]), orders.refit(own[0])]
        study.fit(wanted)
        tried = trials([name for name in methods if name not in _NOT_SEARCHED])
        study.work(tried, "trials")
        found = list(zip(tried, study.cells(tried), strict=True))
        return study.result(
            "tune",
            {"development_users": population.development},
            trials_per_method=TRIALS,
            chosen=chosen(found),
            rows=[
                {
                    "setting": trial.setting,
                    "method": trial.variant.name,
                    "config": dict(trial.variant.config),
                    **cell,
                }
                for trial, cell in found
            ],
        )
