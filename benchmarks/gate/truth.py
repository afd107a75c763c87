"""The truth about a candidate: its distance from adapters that never saw the user."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.population import Population
from benchmarks.study.orders import shadows
from benchmarks.study.workshop import Workshop
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed
from unlearning.levels.never_seen import reading_variance


@dataclass(frozen=True)
class Truth:
    """Mean smoothed NLL of every user under adapters that never saw them.

    `readings` is [adapters, users]. `means` and `deviations` are float64 [users]; a deviation is that of one more such
    adapter around the mean. Users are in the order of `orders.shadows`.
    """

    readings: Tensor
    means: Tensor
    deviations: Tensor

    @classmethod
    def read(cls, workshop: Workshop, parts: int = 2) -> Truth:
        """Read all fits on so many parts of the users. Each user is in one of every `parts` fits."""
        population = workshop.population
        users = everybody(population)
        smoothing, items = workshop.policy.evaluation.smoothing, len(population.catalogue)
        unseen: list[list[float]] = [[] for _ in users]
        for shadow in shadows(population, parts=parts):
            found = item_log_likelihoods(workshop.base, workshop.fit(shadow.order).adapter, users)
            for place, log_p in enumerate(found):
                if place not in shadow.members:
                    unseen[place].append(float(smoothed(-log_p, smoothing, items).mean()))
        readings = torch.tensor(unseen, dtype=torch.float64).T
        variance = reading_variance(
            readings, torch.tensor([len(user) for user in users], dtype=torch.float64)
        )
        return cls(readings, readings.mean(0), (variance * (1.0 + 1.0 / len(readings))).sqrt())

    def gap(self, place: int, smoothed_nll: float) -> float:
        """Nats above the mean of the adapters that never saw the user. Below 0, the candidate still knows them."""
        return smoothed_nll - float(self.means[place])

    def z(self, place: int, smoothed_nll: float) -> float:
        """The gap in standard deviations of one adapter that never saw the user."""
        return self.gap(place, smoothed_nll) / float(self.deviations[place])


def everybody(population: Population) -> tuple[tuple[int, ...], ...]:
    """Training sequences of the service's users and the outsiders."""
    return tuple(split.train for split in (*population.service, *population.outsiders))
