"""The fits that a study needs. Scenarios share them: each combination of users and seed is fitted once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.population import Population
from benchmarks.study.deletions import Deletion
from unlearning.levels import cross_fitting

ENSEMBLE, SHADOWS = 2, 16
_REFIT_SEED, _ENSEMBLE_SEED, _SHADOW_SEED = 1000, 2000, 3000


@dataclass(frozen=True)
class FitOrder:
    """An adapter to fit on these training sequences with this seed."""

    title: str
    sequences: tuple[tuple[int, ...], ...]
    seed: int


def parent(population: Population, seed: int) -> FitOrder:
    """The service's adapter, fitted on all service users."""
    return FitOrder(f"parent, seed {seed}", tuple(split.train for split in population.service), seed)


def level_fits(population: Population, seed: int) -> list[FitOrder]:
    """The fits for every user's level (`unlearning.levels.cross_fitting`), for the parent of this seed."""
    users = [split.train for split in population.service]
    return [
        FitOrder(f"part {number + 1}, seed {seed}", tuple(users[place] for place in part.members), part.seed)
        for number, part in enumerate(
            cross_fitting.parts(len(users), cross_fitting.scheme_for(len(users)), seed)
        )
    ]


def references(deletion: Deletion) -> list[FitOrder]:
    """The ensemble of re-fits that every candidate is compared with."""
    return [
        FitOrder(
            f"reference {number + 1} of {deletion.name}",
            deletion.retained_sequences,
            _ENSEMBLE_SEED + 10 * deletion.seed + number,
        )
        for number in range(ENSEMBLE)
    ]


def refit(deletion: Deletion) -> FitOrder:
    """One more re-fit, which is a row of the table. Its distance to the references is due to seeds alone: the floor."""
    return FitOrder(f"re-fit of {deletion.name}", deletion.retained_sequences, _REFIT_SEED + deletion.seed)


@dataclass(frozen=True)
class Shadow:
    """An attacker's own fit, on a random half of the service's users and outsiders together."""

    order: FitOrder
    members: frozenset[int]


def shadows(population: Population, count: int = SHADOWS, parts: int = 2) -> list[Shadow]:
    """Shadow fits. Every group of `parts` fits divides all users among them; `members` index `service + outsiders`.

    So every user is in exactly one fit of each group. Halves come in complementary pairs, and a user is in half of all
    fits.
    """
    everybody = [split.train for split in (*population.service, *population.outsiders)]
    found: list[Shadow] = []
    for group in range(count // parts):
        for members in _shared_out(len(everybody), parts, group):
            number = len(found)
            sequences = tuple(everybody[place] for place in sorted(members))
            order = FitOrder(f"shadow {number + 1} of {parts} parts", sequences, _SHADOW_SEED + number)
            found.append(Shadow(order, frozenset(members)))
    return found


def _shared_out(users: int, parts: int, group: int) -> list[set[int]]:
    if parts == 2:
        chosen = set(random.Random(_SHADOW_SEED + group).sample(range(users), users // 2))
        return [chosen, set(range(users)) - chosen]
    order = random.Random(f"{_SHADOW_SEED}/{parts}/{group}").sample(range(users), users)
    return [set(order[part::parts]) for part in range(parts)]


def unique(wanted: Sequence[FitOrder]) -> list[FitOrder]:
    """The fits without duplicates, in the order of first occurrence."""
    return list({(order.sequences, order.seed): order for order in wanted}.values())
