"""How many interactions must a subject have before the gate can say anything?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from benchmarks.gate.truth import everybody
from benchmarks.gate.worlds import World
from benchmarks.study.orders import shadows
from benchmarks.study.workshop import Workshop
from recommender import Adapter
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.report import NeverSeenGain
from unlearning.gate.band import Band
from unlearning.levels.cross_fitting import HALVES

COUNTS = (1, 2, 3, 5, 10, 20, 40, 80)


def power_by_items(workshop: Workshop, worlds: Sequence[World], parts: int = 2) -> list[dict[str, Any]]:
    """Where subjects stand before any edit, told by only so many of their items: one row per number of items.

    Of every subject with enough of them so many items are drawn, and read under the adapter that knows the subject and
    under those that never saw it. The band is as wide as a service's, whose levels come from `HALVES.readings`
    readings. Items keep the history before them, which a user with few of them would not have, and the level is a mean
    of about eight readings where a service has two: for a user of few items this flatters.
    """
    subjects = [(world, place) for world in worlds for place in world.subjects]
    found = _Losses(workshop, sorted({place for _, place in subjects}), parts)
    known = {world.number: found.under(workshop.fit(world.shadow.order).adapter) for world in worlds}
    rows = []
    for count in COUNTS:
        gaps, readings = [], []
        for world, place in subjects:
            own = known[world.number][place]
            if len(own) < count:
                continue
            drawn = random.Random(f"{world.number}/{place}/{count}").sample(range(len(own)), count)
            unseen = torch.stack([reading[drawn].mean() for reading in found.unseen[place]])
            readings.append(float(unseen.var()))
            gaps.append(float(unseen.mean() - own[drawn].mean()))
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
    """Smoothed losses of some users' items, by place: one float64 [items] each."""

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
        smoothing, items = self._workshop.policy.evaluation.smoothing, self._workshop.base.style.event_options
        found = item_log_likelihoods(self._workshop.base, adapter, self._sequences)
        return {
            place: smoothed(-own, smoothing, items) for place, own in zip(self._places, found, strict=True)
        }
