"""The users who ask in a walk, and the measures that are taken on the way."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import torch

from benchmarks.population import TooFewUsers
from benchmarks.study.orders import FitOrder
from benchmarks.study.workshop import Workshop
from recommender import Adapter, RankingMetrics, Split, attach
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.inputs import whole_history
from unlearning.evaluation.metrics import HELD_OUT
from unlearning.evaluation.reading import read
from unlearning.levels.never_seen import NeverSeen

_CONSOLIDATION_SEED = 8000


def order(workshop: Workshop, requests: int, seed: int) -> tuple[int, ...]:
    """The users who ask, in this order: indices of report users.

    Raises:
        TooFewUsers: there are fewer report users than requests.
    """
    users = workshop.population.report_users
    if requests > len(users):
        raise TooFewUsers(f"there are {len(users)} report users, {requests} requests are wanted")
    return tuple(random.Random(f"sequence/{seed}").sample(users, requests))


def refit_without(workshop: Workshop, gone: frozenset[int], seed: int) -> FitOrder:
    """An exact re-fit without these users."""
    kept = tuple(split.train for place, split in enumerate(workshop.population.service) if place not in gone)
    return FitOrder(f"re-fit without {len(gone)}", kept, _CONSOLIDATION_SEED + seed)


def utility(workshop: Workshop, adapter: Adapter, users: tuple[Split, ...]) -> dict[str, float]:
    """Held-out NDCG@10 and Recall@10 of these users, over validation and test items together."""
    found = read(
        attach(workshop.base, adapter),
        workshop.base.style,
        [whole_history(split) for split in users],
        ranked=HELD_OUT,
    )
    ranking = RankingMetrics(torch.cat([reading.ranks for reading in found]))
    return {f"held_out_{name}": float(ranking.per_user(name).mean()) for name in ("ndcg@10", "recall@10")}


def places_in_band(
    workshop: Workshop, adapter: Adapter, places: Sequence[int], known: Sequence[NeverSeen]
) -> dict[int, float]:
    """How far the loss of each user lies below their level, in deviations. Above 0, the adapter knows the user."""
    policy, items = workshop.policy, len(workshop.population.catalogue)
    found = item_log_likelihoods(
        workshop.base, adapter, [workshop.population.service[place].train for place in places]
    )
    return {
        place: (
            known[place].smoothed_nll - float(smoothed(-log_p, policy.evaluation.smoothing, items).mean())
        )
        / math.hypot(known[place].deviation, policy.reference_error)
        for place, log_p in zip(places, found, strict=True)
    }


def sides(z: Mapping[int, float], limit: float) -> dict[str, int]:
    """How many users lie inside the band, above it and below it."""
    return {
        "inside_band": sum(abs(value) <= limit for value in z.values()),
        "still_known": sum(value > limit for value in z.values()),
        "over_forgotten": sum(value < -limit for value in z.values()),
    }
