"""The deletions of a study: drawn from report users for figures, from development users for choices."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.population import Population
from benchmarks.study.scenarios import Scenario
from recommender import Split

_LIGHT_SHARE = _HEAVY_SHARE = 1 / 3


@dataclass(frozen=True)
class Deletion:
    """One request, or one batch of them, with the population it leaves behind.

    Attributes:
        name: `scenario/seed`, and the subject's number if one user is forgotten at a time.
        seed: of the parent's fit and of everything random.
        places: indices of the subjects among the service's users.
        subjects: training sequences of the subjects.
        counted: which of the subjects' items are forgotten; None for all.
        retained: what the service still holds: all other users, and the rest of the subjects' interactions if only some
            of them are forgotten. The re-fits with which the result is compared are fitted on these.
        still_there: users whom the request does not name but whom the re-fits leave out: the subjects of other requests
            that share the re-fits. They are a handful among hundreds.
    """

    name: str
    seed: int
    places: tuple[int, ...]
    subjects: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[bool, ...], ...] | None
    retained: tuple[Split, ...]
    still_there: tuple[Split, ...] = ()

    @property
    def retained_sequences(self) -> tuple[tuple[int, ...], ...]:
        """Training sequences of the retained users, which the re-fits see."""
        return tuple(split.train for split in self.retained)

    @property
    def task_sequences(self) -> tuple[tuple[int, ...], ...]:
        """Training sequences of all users whom the request does not name, which a method may keep."""
        return self.retained_sequences + tuple(split.train for split in self.still_there)

    @property
    def items(self) -> int:
        """The number of interactions that are forgotten."""
        if self.counted is None:
            return sum(map(len, self.subjects))
        return sum(map(sum, self.counted))


def deletions(population: Population, scenario: Scenario, seed: int) -> tuple[Deletion, ...]:
    """The scenario's deletions for this seed: one, or one per user if requests are single."""
    if scenario.kind == "interactions":
        return (_interactions(population, scenario, seed),)
    if scenario.kind == "users":
        places = population.draw(scenario.share, seed)
        return (whole_users(population, f"{scenario.name}/{seed}", seed, places),)
    places = (
        _singles(population, scenario, seed)
        if scenario.kind == "single"
        else _row(population, scenario, seed)
    )
    return one_by_one(population, f"{scenario.name}/{seed}", seed, places)


def whole_users(population: Population, name: str, seed: int, places: Sequence[int]) -> Deletion:
    """Forget these service users altogether, in one batch."""
    chosen = set(places)
    return Deletion(
        name=name,
        seed=seed,
        places=tuple(places),
        subjects=tuple(population.service[place].train for place in places),
        counted=None,
        retained=tuple(split for place, split in enumerate(population.service) if place not in chosen),
    )


def one_by_one(population: Population, name: str, seed: int, places: Sequence[int]) -> tuple[Deletion, ...]:
    """Forget each of these service users in a request of their own. The re-fits leave out all of them."""
    together = whole_users(population, name, seed, places)
    return tuple(
        Deletion(
            name=f"{name}/{number}",
            seed=seed,
            places=(place,),
            subjects=(population.service[place].train,),
            counted=None,
            retained=together.retained,
            still_there=tuple(population.service[other] for other in places if other != place),
        )
        for number, place in enumerate(places)
    )


def _interactions(population: Population, scenario: Scenario, seed: int) -> Deletion:
    generator = random.Random(seed)
    places, subjects, counted = [], [], []
    retained = list(population.service[: population.development])
    for place in population.report_users:
        split = population.service[place]
        count = min(round(scenario.share * len(split.train)), len(split.train) - 1)
        gone = set(generator.sample(range(len(split.train)), count))
        marks = tuple(position in gone for position in range(len(split.train)))
        # Later prompts also lose the forgotten item: the rest looks as if the user had never met it.
        left = tuple(item for item, forgotten in zip(split.train, marks, strict=True) if not forgotten)
        retained.append(Split(left, split.validation, split.test))
        if gone:
            places.append(place)
            subjects.append(split.train)
            counted.append(marks)
    return Deletion(
        name=f"{scenario.name}/{seed}",
        seed=seed,
        places=tuple(places),
        subjects=tuple(subjects),
        counted=tuple(counted),
        retained=tuple(retained),
    )


def _singles(population: Population, scenario: Scenario, seed: int) -> tuple[int, ...]:
    """Half from the third of report users with the fewest events, half from the third with the most."""
    by_length = sorted(population.report_users, key=lambda place: len(population.service[place].train))
    generator = random.Random(seed)
    light = by_length[: round(_LIGHT_SHARE * len(by_length))]
    heavy = by_length[-round(_HEAVY_SHARE * len(by_length)) :]
    half = min(scenario.users // 2, len(light), len(heavy))
    return (*generator.sample(light, half), *generator.sample(heavy, half))


def _row(population: Population, scenario: Scenario, seed: int) -> tuple[int, ...]:
    """Users in the order in which they ask."""
    return tuple(random.Random(seed).sample(population.report_users, scenario.users))
