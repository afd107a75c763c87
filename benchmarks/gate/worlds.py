"""Small services whose truth is known: each is one random half of all users, with an adapter of its own.

The other fits on halves never saw some of its users. They say, user by user, what never having been seen looks like,
and a few fits serve hundreds of deletions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from benchmarks.population import Population, TooFewUsers
from benchmarks.study.orders import PAIRS, SHADOWS, FitOrder, Shadow, shadows
from recommender import Split
from unlearning.cross_fitting import halves

Users = Literal["development", "report"]

# Half of the halves are for development, the others for the report.
MOST_WORLDS = SHADOWS // 2
_REFIT_SEED, _DRAW_SEED = 9000, 17


@dataclass(frozen=True)
class World:
    """One service: who belongs to it, and which of them are forgotten, one at a time.

    `places` and `subjects` are places in `everybody`: the service's users, then the outsiders.
    """

    number: int
    shadow: Shadow
    everybody: tuple[Split, ...]
    subjects: tuple[int, ...]

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Its users, in the order their adapter was fitted on."""
        return tuple(sorted(self.shadow.members))

    @property
    def users(self) -> tuple[Split, ...]:
        """Its users' splits, in the order of `places`."""
        return tuple(self.everybody[place] for place in self.places)

    @property
    def refit(self) -> FitOrder:
        """An adapter that never saw any of its subjects."""
        gone = set(self.subjects)
        kept = tuple(self.everybody[place].train for place in self.places if place not in gone)
        return FitOrder(f"re-fit of world {self.number}", kept, _REFIT_SEED + self.number)

    @property
    def halves(self) -> list[FitOrder]:
        """The fits that its subjects' levels come from."""
        users = self.users
        return [
            FitOrder(
                f"half {index + 1} of world {self.number}",
                tuple(users[place].train for place in half.members),
                half.seed,
            )
            for index, half in enumerate(halves(len(users), PAIRS, self.number))
        ]


def worlds(population: Population, kind: Users, count: int, deletions: int) -> list[World]:
    """`count` halves as services; `deletions` users of this kind are forgotten in each.

    Development users are forgotten from the first eight halves, report users from the others: no service that
    thresholds were chosen on is reported on. The truth is what all halves tell about whom they never saw. A user may be
    forgotten in several worlds, each time from another adapter.

    Raises:
        TooFewUsers: more deletions than a world has users of this kind.
        ValueError: more worlds than halves of this kind.
    """
    everybody = (*population.service, *population.outsiders)
    wanted = set(population.development_users if kind == "development" else population.report_users)
    first = 0 if kind == "development" else MOST_WORLDS
    found = []
    for number, shadow in list(enumerate(shadows(population)))[first : first + min(count, MOST_WORLDS)]:
        candidates = sorted(wanted & shadow.members)
        if deletions > len(candidates):
            raise TooFewUsers(f"world {number} has {len(candidates)} {kind} users, {deletions} are wanted")
        chosen = random.Random(f"{_DRAW_SEED}/{kind}/{number}").sample(candidates, deletions)
        found.append(World(number, shadow, everybody, tuple(sorted(chosen))))
    if len(found) < count:
        raise ValueError(f"there are {len(found)} halves for {kind} users, {count} are wanted")
    return found
