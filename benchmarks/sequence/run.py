"""Many requests in a row, two hundred by default: `lethe bench sequence`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from benchmarks.sequence.measures import order, places_in_band, refit_without, sides, utility
from benchmarks.sequence.walk import Walk, title
from benchmarks.study import orders
from benchmarks.study.levels import levels
from benchmarks.study.session import Means, session
from unlearning.records import to_plain

# The method with consolidations, and without them. The other walks are controls.
WALKS = {
    title(name, consolidates): (name, consolidates)
    for name, consolidates in (
        ("least_change_output", True),
        ("least_change", True),
        ("least_change_output", False),
        ("least_change", False),
        ("ucan", False),
        ("do_nothing", False),
    )
}


def run(
    data: Path,
    *,
    walks: Sequence[str] = tuple(WALKS),
    requests: int = 200,
    seed: int = 0,
    **means: Unpack[Means],
) -> dict[str, Any]:
    """Walk through `requests` single requests in several ways; returns rows as JSON values.

    Args:
        data: the interactions. `means` are those of `session`.
        walks: names from `WALKS`.
        requests: number of report users who ask, one after the other.
        seed: of the parent's fit, and for drawing the users who ask.

    Raises:
        TooFewUsers: there are fewer report users than requests; raised before any training.
    """
    with session(data, **means) as study:
        workshop, population = study.workshop, study.workshop.population
        places = order(workshop, requests, seed)
        final = refit_without(workshop, frozenset(places), seed + 1)
        study.fit([orders.parent(population, seed), *orders.level_fits(population, seed), final])
        lived = [
            Walk(name, requests, seed, consolidates) for name, consolidates in map(WALKS.__getitem__, walks)
        ]
        study.work(lived, "walks")
        kept = tuple(split for place, split in enumerate(population.service) if place not in set(places))
        fitted = workshop.fit(final)
        # The reference shows how chance and the error of the levels judge a model that never saw any of these users.
        z = places_in_band(workshop, fitted.adapter, places, levels(workshop, seed))
        reference = {
            **utility(workshop, fitted.adapter, kept),
            **sides(z, workshop.policy.membership_z),
            "seconds": fitted.cost.seconds,
        }
        rows = study.rows(*lived)
        return study.result(
            "sequence",
            {"service_users": len(population.service), "kept": len(kept)},
            consolidation=to_plain(workshop.policy.consolidation),
            requests=requests,
            seed=seed,
            refit=reference,
            rows=rows,
        )
