"""Which adapters a study needs fitted. Scenarios share what they can: the same users and seed are fitted once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.population import Population
from benchmarks.study.deletions import Deletion
from unlearning import cross_fitting

ENSEMBLE, SHADOWS, PAIRS = 2, 16, 2
_REFIT_SEED, _ENSEMBLE_SEED, _SHADOW_SEED = 1000, 2000, 3000


@dataclass(frozen=True)
class FitOrder:
    """An adapter to fit on these training sequences with this seed."""

    title: str
    sequences: tuple[tuple[int, ...], ...]
    seed: int


def parent(population: Population, seed: int) -> FitOrder:
    """The service's adapter: everybody."""
    return FitOrder(f"parent, seed {seed}", tuple(split.train for split in population.service), seed)


def halves(population: Population, seed: int) -> list[FitOrder]:
    """The fits that every user's level comes from (`unlearning.cross_fitting`), beside the parent of this seed."""
    users = [split.train for split in population.service]
    return [
        FitOrder(f"half {number + 1}, seed {seed}", tuple(users[place] for place in half.members), half.seed)
        for number, half in enumerate(cross_fitting.halves(len(users), PAIRS, seed))
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
    """One more re-fit, the row of the table: its distance to the others is the floor that seeds alone make."""
    return FitOrder(f"re-fit of {deletion.name}", deletion.retained_sequences, _REFIT_SEED + deletion.seed)


@dataclass(frozen=True)
class Shadow:
    """An attacker's own fit, on a random half of the service's users and outsiders together."""

    order: FitOrder
    members: frozenset[int]


def shadows(population: Population, count: int = SHADOWS) -> list[Shadow]:
    """Shadow fits; `members` are places in `service + outsiders`. Halves come in complementary pairs.

    So every user is in exactly half of them.
    """
    everybody = [split.train for split in (*population.service, *population.outsiders)]
    found: list[Shadow] = []
    for pair in range(count // 2):
        chosen = set(random.Random(_SHADOW_SEED + pair).sample(range(len(everybody)), len(everybody) // 2))
        for half in (chosen, set(range(len(everybody))) - chosen):
            number = len(found)
            sequences = tuple(everybody[place] for place in sorted(half))
            order = FitOrder(f"shadow {number + 1}", sequences, _SHADOW_SEED + number)
            found.append(Shadow(order, frozenset(half)))
    return found


def unique(wanted: Sequence[FitOrder]) -> list[FitOrder]:
    """Each fit once, in the order they were first wanted."""
    return list({(order.sequences, order.seed): order for order in wanted}.values())
