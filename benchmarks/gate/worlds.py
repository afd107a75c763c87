"""Small services whose truth is known: each is a random part of all users, with an adapter of its own.

Some users of a service are unknown to the fits on other parts. These fits show the true level of each such user, so a
few fits serve hundreds of deletions.
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

# One half of the parts is for development, the other half for the report.
MOST_WORLDS = SHADOWS // 2
# With the most parts, each user is in two of the fits, one of each kind, and the other fourteen give the truth.
MOST_PARTS = SHADOWS // 2
_REFIT_SEED, _DRAW_SEED = 9000, 17


@dataclass(frozen=True)
class World:
    """One service: its users, and those of them who are forgotten, one at a time.

    `places` and `subjects` are indices into `everybody`: the population's service users, then the outsiders.
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
        """A name that is unique among all services that are measured."""
        return f"{source}, part {self.number + 1} of {parts}"

    def density(self, items: int) -> float:
        """Events per user and item, for a catalogue of so many items. Held-out events count too."""
        events = sum(len(split.train) + 2 for split in self.users)
        return events / len(self.places) / items

    @property
    def refit(self) -> FitOrder:
        """The fit that never saw any of the world's subjects."""
        gone = set(self.subjects)
        kept = tuple(self.everybody[place].train for place in self.places if place not in gone)
        return FitOrder(f"re-fit of world {self.number}", kept, _REFIT_SEED + self.number)

    @property
    def level_fits(self) -> list[FitOrder]:
        """The fits from which the subjects' levels are computed."""
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
    """`count` services, each on one of `parts` parts of the users. Each forgets `deletions` users of this kind.

    Development users are forgotten from the first eight services, report users from the others, so no reported figure
    is about a service on which thresholds were chosen. The truth comes from all parts of this size, each about the
    users that it never saw. A user may be forgotten in several worlds, each time from another adapter.

    Raises:
        TooFewUsers: a world has fewer users of this kind than deletions.
        ValueError: there are fewer parts for this kind than worlds.
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
