"""Small services whose truth is known: each is one random part of all users, with an adapter of its own.

The other fits on such parts never saw some of its users. They say, user by user, what never having been seen looks
like, and a few fits serve hundreds of deletions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from benchmarks.population import Population, TooFewUsers
from benchmarks.study.orders import SHADOWS, FitOrder, Shadow, shadows
from recommender import Split
from unlearning.levels import cross_fitting
from unlearning.levels.cross_fitting import scheme_for

Users = Literal["development", "report"]

# Half of the parts are for development, the others for the report.
MOST_WORLDS = SHADOWS // 2
# Then each user is in two of the fits, one of each kind, and fourteen tell the truth about them.
MOST_PARTS = SHADOWS // 2
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

    def name(self, source: str, parts: int) -> str:
        """What tells it from every other service that was measured."""
        return f"{source}, part {self.number + 1} of {parts}"

    def density(self, items: int) -> float:
        """Events of a user and item, of a catalogue of so many items; held-out events included."""
        events = sum(len(split.train) + 2 for split in self.users)
        return events / len(self.places) / items

    @property
    def refit(self) -> FitOrder:
        """An adapter that never saw any of its subjects."""
        gone = set(self.subjects)
        kept = tuple(self.everybody[place].train for place in self.places if place not in gone)
        return FitOrder(f"re-fit of world {self.number}", kept, _REFIT_SEED + self.number)

    @property
    def level_fits(self) -> list[FitOrder]:
        """The fits that its subjects' levels come from."""
        users = self.users
        return [
            FitOrder(
                f"part {index + 1} of world {self.number}",
                tuple(users[place].train for place in part.members),
                part.seed,
            )
            for index, part in enumerate(cross_fitting.parts(len(users), scheme_for(len(users)), self.number))
        ]


def worlds(population: Population, kind: Users, count: int, deletions: int, parts: int = 2) -> list[World]:
    """`count` services, each of one of `parts` of the users; `deletions` users of this kind are forgotten in each.

    Development users are forgotten from the first eight, report users from the others: no service that
    thresholds were chosen on is reported on. The truth is what all parts of this size tell about whom they never saw. A
    user may be forgotten in several worlds, each time from another adapter.

    Raises:
        TooFewUsers: more deletions than a world has users of this kind.
        ValueError: more worlds than parts for this kind.
    """
    everybody = (*population.service, *population.outsiders)
    wanted = set(population.development_users if kind == "development" else population.report_users)
    first = 0 if kind == "development" else MOST_WORLDS
    found = []
    for number, shadow in list(enumerate(shadows(population, parts=parts)))[
        first : first + min(count, MOST_WORLDS)
    ]:
        candidates = sorted(wanted & shadow.members)
        if deletions > len(candidates):
            raise TooFewUsers(f"world {number} has {len(candidates)} {kind} users, {deletions} are wanted")
        chosen = random.Random(f"{_DRAW_SEED}/{kind}/{number}").sample(candidates, deletions)
        found.append(World(number, shadow, everybody, tuple(sorted(chosen))))
    if len(found) < count:
        raise ValueError(f"there are {len(found)} parts for {kind} users, {count} are wanted")
    return found
