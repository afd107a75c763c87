"""Simulated requests of development users, the only users who may steer a choice."""

from __future__ import annotations

from benchmarks.population import Population
from benchmarks.study.deletions import Deletion, one_by_one, whole_users
from benchmarks.study.scenarios import user_share

BATCH_SHARE, SINGLES, SEED = 0.05, 4, 0


def development_deletions(population: Population) -> dict[str, tuple[Deletion, ...]]:
    """The deletions of the search, by setting: one batch, and a few other users one at a time."""
    size = max(1, round(BATCH_SHARE * len(population.service)))
    batch, others = population.development_groups(2, size)
    name = user_share(BATCH_SHARE).name
    return {
        "batch": (whole_users(population, f"development-{name}", SEED, batch),),
        "single": one_by_one(population, "development-single", SEED, others[:SINGLES]),
    }
