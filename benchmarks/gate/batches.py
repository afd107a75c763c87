"""How often the gate's verdict is wrong on a batch of subjects who are inconclusive one by one.

A batch is drawn from those users of a service who lie inside the band although the service's adapter knows them. The
gate says `inconclusive` about each of them alone; about the batch it has joint evidence (`unlearning.gate.batch`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.environment import commit
from benchmarks.gate.rates import Row, rate
from benchmarks.gate.trials import (
    LEVEL,
    PORTIONS,
    TRUTH,
    WRONG_BEYOND,
    Plan,
    key_in,
    levels_of,
    truth_of,
    worlds_of,
)
from benchmarks.study.cells import Cells
from benchmarks.study.orders import FitOrder
from benchmarks.study.workshop import Workshop
from recommender import Adapter
from unlearning import Candidate, EvaluationInputs, NeverSeen, build_method, decide, publishable
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.evaluate import evaluate
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.report import NeverSeenGain
from unlearning.gate.band import Band
from unlearning.gate.decision import BATCH

SIZE, MOST = 8, 4
_REFIT_SEED, _DRAW_SEED = 9500, 23


@dataclass(frozen=True)
class Batches:
    """All batches of one world; `number` is the world's index in the plan. Makes one cell."""

    plan: Plan
    number: int

    def keys(self, workshop: Workshop) -> list[str]:
        """The one cell of this world's batches."""
        world = worlds_of(workshop, self.plan)[self.number]
        judged = {"gate": "batches", "batches": [SIZE, MOST]}
        return [key_in(workshop, world, [world.places, self.plan.users], judged)]

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Judge every candidate of every batch unless that is done."""
        (key,) = self.keys(workshop)
        if cells.get(key) is None:
            cells.put(key, {"commit": commit(), "rows": list(_World(self, workshop).rows())})


def batch_rates(rows: Sequence[Row]) -> dict[str, Any]:
    """How often the gate's verdict on a batch is wrong.

    `told` is the share of batches on which the gate is conclusive before any edit. `false_accept` is taken over the
    candidates that are wrong for the batch as a whole (beyond `WRONG_BEYOND`) and on which the gate is conclusive: the
    share that it passes. `false_reject` is the share of true re-fits that it fails.
    """
    refits = [row for row in rows if row["candidate"] == TRUTH]
    wrong = [
        row
        for row in rows
        if row["candidate"] != TRUTH and abs(row["truth_z"]) > WRONG_BEYOND and row["passed"] is not None
    ]
    return {
        "batches": len(refits),
        "told": rate(
            [row for row in rows if row["candidate"] == "do_nothing"], lambda row: row["passed"] is not None
        ),
        "false_accept": rate(wrong, lambda row: row["passed"] is True),
        "false_reject": rate(refits, lambda row: row["passed"] is False),
        "forgotten": rate(
            [row for row in rows if row["candidate"] == LEVEL], lambda row: row["passed"] is True
        ),
    }


class _World:
    """One service whose batches are judged."""

    def __init__(self, batches: Batches, workshop: Workshop) -> None:
        self._workshop, self._plan = workshop, batches.plan
        self._world = worlds_of(workshop, batches.plan)[batches.number]
        self._levels: dict[int, NeverSeen] = dict(
            zip(self._world.places, levels_of(workshop, batches.plan, batches.number), strict=True)
        )
        self._parent = workshop.fit(self._world.shadow.order).adapter
        self._batches = self._drawn()

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row for each candidate of each batch."""
        for index, places in enumerate(self._batches):
            for name in (TRUTH, *PORTIONS, "do_nothing"):
                yield {"batch": index, **self._row(places, name)}

    def _drawn(self) -> list[tuple[int, ...]]:
        population, limit = self._workshop.population, self._workshop.policy.membership_z
        chosen = (
            population.development_users if self._plan.users == "development" else population.report_users
        )
        unknown = [
            place
            for place, level in self._levels.items()
            if place in chosen and abs(self._band(level).z(-level.seen_smoothed_nll)) <= limit
        ]
        order = random.Random(f"{_DRAW_SEED}/{self._world.number}").sample(unknown, len(unknown))
        return [
            tuple(sorted(order[start : start + SIZE])) for start in range(0, len(order) - SIZE + 1, SIZE)
        ][:MOST]

    def _band(self, level: NeverSeen) -> Band:
        return Band.around(NeverSeenGain(-level.smoothed_nll, level.deviation, 0.0), self._workshop.policy)

    def _refit(self) -> Candidate:
        """A candidate that never saw any user of any batch."""
        gone = {place for batch in self._batches for place in batch}
        world = self._world
        kept = tuple(world.everybody[place].train for place in world.places if place not in gone)
        fit = self._workshop.fit(
            FitOrder(f"re-fit without the batches of world {world.number}", kept, _REFIT_SEED + world.number)
        )
        return Candidate(adapter=fit.adapter, cost=fit.cost)

    def _row(self, places: Sequence[int], name: str) -> dict[str, Any]:
        workshop, world = self._workshop, self._world
        policy, truth = workshop.policy, truth_of(workshop, self._plan.parts)
        levels = [self._levels[place] for place in places]
        forget = tuple(world.everybody[place].train for place in places)
        gone = {place for batch in self._batches for place in batch}
        retained = tuple(world.everybody[place] for place in world.places if place not in gone)
        seed, known = world.number, self._losses(self._parent, forget)
        portion = PORTIONS.get(name, 1.0)
        task = workshop.regime.task(
            workshop.base,
            self._parent,
            forget,
            [split.train for split in retained],
            seed=seed,
            smoothing=policy.evaluation.smoothing,
            never_seen_nll=tuple(
                max(before + portion * (level.smoothed_nll - before), 0.0)
                for before, level in zip(known, levels, strict=True)
            ),
        )
        method = build_method(name if name in (TRUTH, "do_nothing") else LEVEL, {})
        candidate = self._refit() if name == TRUTH else method.run(task)
        inputs = EvaluationInputs.prepare(
            workshop.base,
            self._parent,
            subjects=forget,
            retained=retained,
            seed=seed,
            never_seen=levels,
            config=policy.evaluation,
        )
        verdict = decide(evaluate(inputs, candidate, method), policy)
        gaps = [
            truth.gap(place, loss)
            for place, loss in zip(places, self._losses(candidate.adapter, forget), strict=True)
        ]
        deviation = math.hypot(*(float(truth.deviations[place]) for place in places))
        batch = next((reason for reason in verdict.reasons if reason.measure == BATCH), None)
        return {
            "world": world.number,
            "service": world.name(workshop.population.source, self._plan.parts),
            "subjects": len(places),
            "items": sum(map(len, forget)),
            "candidate": name,
            # This treats readings of different users under one adapter as independent.
            "truth_z": sum(gaps) / deviation,
            "undecided": len(verdict.batch),
            "z": None if batch is None else batch.value,
            "passed": None if batch is None else batch.passed,
            "accepted": publishable(verdict, method_is_exact=False, policy=policy),
        }

    def _losses(self, adapter: Adapter, sequences: Sequence[tuple[int, ...]]) -> list[float]:
        base, smoothing = self._workshop.base, self._workshop.policy.evaluation.smoothing
        return [
            float(smoothed(-found, smoothing, base.style.event_options).mean())
            for found in item_log_likelihoods(base, adapter, sequences)
        ]
