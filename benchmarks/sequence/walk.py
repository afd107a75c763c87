"""Many requests in a row, as a service lives through them: edit, gate, consolidate when the budget is spent."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.environment import commit
from benchmarks.population import TooFewUsers
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.levels import levels
from benchmarks.study.orders import FitOrder
from benchmarks.study.variants import Tuned, Variant
from benchmarks.study.workshop import Workshop
from recommender import Adapter, RankingMetrics, Split, attach
from unlearning import (
    Candidate,
    EvaluationInputs,
    ForgetTask,
    Report,
    Spent,
    consolidation_due,
    decide,
    publishable,
    utility_change,
)
from unlearning.audit.predictions import item_log_likelihoods
from unlearning.evaluation.evaluate import evaluate
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.inputs import whole_history
from unlearning.evaluation.metrics import HELD_OUT
from unlearning.evaluation.reading import read
from unlearning.never_seen import NeverSeen
from unlearning.records import to_plain

# After how many requests everybody who was forgotten is looked at again.
EVERY = 10
_CONSOLIDATION_SEED = 8000


@dataclass(frozen=True)
class Walk:
    """One way to live: a method for every request, with or without consolidations.

    With them the service refits without everybody forgotten so far where the policy's budget is spent, and where the
    gate does not let a candidate through (the last rung of the ladder). Without them every candidate is taken unseen.
    """

    name: str
    requests: int
    seed: int
    consolidates: bool

    def keys(self, workshop: Workshop) -> list[str]:
        """The one cell of this walk."""
        return [
            Cells.key(
                {
                    "sequence": self.name,
                    "requests": self.requests,
                    "seed": self.seed,
                    "consolidates": self.consolidates,
                    "config": self.variant.plain(),
                    "base": workshop.base.digest,
                    "regime": to_plain(workshop.regime),
                    "policy": workshop.policy.hash,
                }
            )
        ]

    @property
    def variant(self) -> Variant:
        """The method, as found for single requests."""
        return Tuned.load().variant(self.name, "single")

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Walk unless that is done."""
        (key,) = self.keys(workshop)
        if cells.get(key) is None:
            cells.put(key, {"commit": commit(), "rows": list(_walk(self, workshop))})


def order(workshop: Workshop, requests: int, seed: int) -> tuple[int, ...]:
    """Who asks, in this order: places of report users.

    Raises:
        TooFewUsers: fewer report users than requests.
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
    """Held-out NDCG@10 and Recall@10 of these users, validation and test items together."""
    found = read(
        attach(workshop.base, adapter),
        workshop.base.style,
        [whole_history(split) for split in users],
        ranked=HELD_OUT,
    )
    ranking = RankingMetrics(torch.cat([reading.ranks for reading in found]))
    return {f"held_out_{name}": float(ranking.per_user(name).mean()) for name in ("ndcg@10", "recall@10")}


def _walk(walk: Walk, workshop: Workshop) -> Iterator[dict[str, Any]]:
    population, policy = workshop.population, workshop.policy
    places = order(workshop, walk.requests, walk.seed)
    known = levels(workshop, walk.seed)
    everybody_else = tuple(
        split for place, split in enumerate(population.service) if place not in set(places)
    )
    adapter = workshop.fit(orders.parent(population, walk.seed)).adapter
    spent, seconds, refits = Spent(0, 0, 0.0, 0.0), 0.0, 0
    decisions: dict[str, int] = {"pass": 0, "fail": 0, "inconclusive": 0}
    inside: set[int] = set()
    resurgent: set[int] = set()
    for number, place in enumerate(places, start=1):
        gone = frozenset(places[:number])
        retained = tuple(split for other, split in enumerate(population.service) if other not in gone)
        task = _task(walk, workshop, adapter, place, retained, known[place], number)
        candidate = walk.variant.method.run(task)
        seconds += candidate.cost.seconds
        if walk.consolidates:
            report = _report(walk, workshop, task, candidate, retained, known[place])
            verdict = decide(report, policy)
            decisions[verdict.decision] += 1
            accepted = publishable(verdict, method_is_exact=False, policy=policy)
            spent = replace(
                spent,
                subjects=spent.subjects + 1,
                attenuations=spent.attenuations + 1,
                # As the service counts: what was kept is multiplied.
                utility_loss=1.0 - (1.0 - spent.utility_loss) * (1.0 + (utility_change(report) or 0.0)),
            )
            if not accepted or consolidation_due(policy.consolidation, spent) is not None:
                fitted = workshop.fit(refit_without(workshop, gone, walk.seed))
                candidate = Candidate(fitted.adapter, fitted.cost)
                seconds, refits = seconds + fitted.cost.seconds, refits + 1
                spent = Spent(0, 0, 0.0, 0.0)
        adapter = candidate.adapter
        z = places_in_band(workshop, adapter, places[:number], known)
        known_again = {other for other in inside if z[other] > policy.membership_z}
        resurgent |= known_again
        inside |= {other for other, value in z.items() if abs(value) <= policy.membership_z}
        if number % EVERY == 0 or number == walk.requests:
            yield {
                "walk": _title(walk),
                "requests": number,
                **utility(workshop, adapter, everybody_else),
                **sides(z, policy.membership_z),
                "known_again_now": len(known_again),
                "ever_known_again": len(resurgent),
                "passed": decisions["pass"],
                "failed": decisions["fail"],
                "inconclusive": decisions["inconclusive"],
                "refits": refits,
                "seconds": seconds,
            }


def _task(
    walk: Walk,
    workshop: Workshop,
    adapter: Adapter,
    place: int,
    retained: tuple[Split, ...],
    level: NeverSeen,
    number: int,
) -> ForgetTask:
    return ForgetTask(
        base=workshop.base,
        adapter=adapter,
        forget=(workshop.population.service[place].train,),
        retain=tuple(split.train for split in retained),
        retain_validation=(),
        # Every request edits the adapter, so what was cached of it holds for the first one only.
        statistics=None,
        training=workshop.regime.training(walk.seed),
        adapter_config=workshop.regime.adapter_config,
        seed=1000 * number + walk.seed,
        never_seen_nll=(level.nll,),
    )


def _report(
    walk: Walk,
    workshop: Workshop,
    task: ForgetTask,
    candidate: Candidate,
    retained: tuple[Split, ...],
    level: NeverSeen,
) -> Report:
    inputs = EvaluationInputs.prepare(
        workshop.base,
        task.adapter,
        subjects=task.forget,
        retained=retained,
        seed=task.seed,
        never_seen=(level,),
        config=workshop.policy.evaluation,
    )
    return evaluate(inputs, candidate, walk.variant.method)


def places_in_band(
    workshop: Workshop, adapter: Adapter, places: Sequence[int], known: Sequence[NeverSeen]
) -> dict[int, float]:
    """How far each of these users lies below its level, in deviations: above 0 the adapter knows them."""
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
    """How many lie inside the band, above it and below it."""
    return {
        "inside_band": sum(abs(value) <= limit for value in z.values()),
        "still_known": sum(value > limit for value in z.values()),
        "over_forgotten": sum(value < -limit for value in z.values()),
    }


def _title(walk: Walk) -> str:
    return f"{walk.name}, consolidated" if walk.consolidates else walk.name
