"""How many interactions a subject needs before the gate can be conclusive."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from benchmarks.gate.truth import everybody
from benchmarks.gate.worlds import World
from benchmarks.study import orders
from benchmarks.study.orders import shadows
from benchmarks.study.workshop import Workshop
from recommender import Adapter
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.report import NeverSeenGain
from unlearning.gate.band import Band
from unlearning.levels import cross_fitting
from unlearning.levels.cross_fitting import HALVES

COUNTS = (1, 2, 3, 5, 10, 20, 40, 80)


def power_by_items(workshop: Workshop, worlds: Sequence[World], parts: int = 2) -> list[dict[str, Any]]:
    """How far subjects lie from the band before any edit, judged by a few of their items: one row per number of items.

    For every subject with enough items, that number of items is drawn and read under the adapter that knows the subject
    and under those that never saw them. The band is as wide as a service's, whose levels come from `HALVES.readings`
    readings. The figures are too good for users with few items, for two reasons: items keep the history before them,
    which such a user would not have, and the level is a mean of about eight readings where a service has two.
    """
    subjects = [(world, place) for world in worlds for place in world.subjects]
    found = _Losses(workshop, sorted({place for _, place in subjects}), parts)
    known = {world.number: found.under(workshop.fit(world.shadow.order).adapter) for world in worlds}
    return _by_items(
        workshop,
        [
            _Told(f"{world.number}/{place}", known[world.number][place], found.unseen[place])
            for world, place in subjects
        ],
    )


def power_of_everybody(workshop: Workshop, seed: int) -> list[dict[str, Any]]:
    """As `power_by_items`, for every user of a study's service. Needs only the fits of the users' levels.

    Each user is read under the parent of this seed and under the `HALVES.readings` parts that never saw them, which are
    as few as in a service.
    """
    population = workshop.population
    users = [split.train for split in population.service]
    parts = cross_fitting.parts(len(users), HALVES, seed)
    known = _losses(workshop, workshop.fit(orders.parent(population, seed)).adapter, users)
    unseen: list[list[Tensor]] = [[] for _ in users]
    for part in parts:
        order = orders.FitOrder("", tuple(users[place] for place in part.members), part.seed)
        losses = _losses(workshop, workshop.fit(order).adapter, users)
        for place in set(range(len(users))) - set(part.members):
            unseen[place].append(losses[place])
    return _by_items(
        workshop,
        [_Told(str(place), known[place], unseen[place]) for place in range(len(users))],
    )


@dataclass(frozen=True)
class _Told:
    """One user: a name that seeds the draw, and smoothed losses [items] under the adapter that knows them and under the
    others.
    """

    name: str
    known: Tensor
    unseen: Sequence[Tensor]


def _by_items(workshop: Workshop, users: Sequence[_Told]) -> list[dict[str, Any]]:
    rows = []
    for count in COUNTS:
        gaps, readings = [], []
        for user in users:
            if len(user.known) < count:
                continue
            drawn = random.Random(f"{user.name}/{count}").sample(range(len(user.known)), count)
            unseen = torch.stack([reading[drawn].mean() for reading in user.unseen])
            readings.append(float(unseen.var()))
            gaps.append(float(unseen.mean() - user.known[drawn].mean()))
        if gaps:
            rows.append(_row(workshop, count, gaps, fmean(readings) * (1.0 + 1.0 / HALVES.readings)))
    return rows


def _row(workshop: Workshop, count: int, gaps: Sequence[float], variance: float) -> dict[str, Any]:
    policy = workshop.policy
    band = Band.around(NeverSeenGain(0.0, variance**0.5, 0.0), policy)
    places = [band.z(gap) for gap in gaps]
    return {
        "items": count,
        "subjects": len(places),
        "deviation": band.deviation,
        "median_z": median(places),
        "told": sum(z > policy.membership_z for z in places) / len(places),
    }


class _Losses:
    """Smoothed losses of some users' items, by the user's place: float64 [items] each."""

    def __init__(self, workshop: Workshop, places: Sequence[int], parts: int) -> None:
        self._workshop, self._places, self._parts = workshop, places, parts
        users = everybody(workshop.population)
        self._sequences = [users[place] for place in places]
        self.unseen: dict[int, list[Tensor]] = {place: [] for place in places}
        for shadow in shadows(workshop.population, parts=self._parts):
            for place, losses in self.under(workshop.fit(shadow.order).adapter).items():
                if place not in shadow.members:
                    self.unseen[place].append(losses)

    def under(self, adapter: Adapter) -> dict[int, Tensor]:
        return dict(zip(self._places, _losses(self._workshop, adapter, self._sequences), strict=True))


def _losses(workshop: Workshop, adapter: Adapter, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
    smoothing, options = workshop.policy.evaluation.smoothing, workshop.base.style.event_options
    found = item_log_likelihoods(workshop.base, adapter, sequences)
    return [smoothed(-own, smoothing, options) for own in found]
