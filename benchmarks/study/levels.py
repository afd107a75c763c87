"""The level that each subject has to reach, as a service would find it: from cross-fitted parts of its users."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from benchmarks.study import orders
from benchmarks.study.deletions import Deletion
from benchmarks.study.workshop import Workshop
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed
from unlearning.levels.cross_fitting import cross_fit
from unlearning.levels.never_seen import NeverSeen


@lru_cache(maxsize=2)
def levels(workshop: Workshop, seed: int) -> Sequence[NeverSeen]:
    """The levels of all service users, for the parent of this seed."""
    population = workshop.population
    return cross_fit(
        workshop.base,
        workshop.fit(orders.parent(population, seed)).adapter,
        population.service,
        adapter_config=workshop.regime.adapter_config,
        training=workshop.regime.training(seed),
        smoothing=workshop.policy.evaluation.smoothing,
        seed=seed,
        fit=workshop.fits.kept,
    )


def subject_levels(workshop: Workshop, seed: int, deletion: Deletion) -> tuple[float, ...]:
    """The mean smoothed NLL that each subject of the deletion has to reach, nats per item to forget.

    If only some items of a user are forgotten, their loss has to rise by as much as the whole user's would, because
    cross-fitted adapters leave out users, not items.
    """
    found = [levels(workshop, seed)[place].smoothed_nll for place in deletion.places]
    if deletion.counted is None:
        return tuple(found)
    parent = workshop.fit(orders.parent(workshop.population, seed)).adapter
    smoothing, items = workshop.policy.evaluation.smoothing, len(workshop.population.catalogue)
    whole, marked = (
        [
            float(smoothed(-own, smoothing, items).mean())
            for own in item_log_likelihoods(workshop.base, parent, deletion.subjects, counted)
        ]
        for counted in (None, deletion.counted)
    )
    return tuple(max(level + part - own, 0.0) for level, own, part in zip(found, whole, marked, strict=True))
