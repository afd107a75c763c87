"""One simulated deletion: several candidates, each with the gate's word on it and the truth beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from benchmarks.environment import commit
from benchmarks.gate.truth import Truth
from benchmarks.gate.worlds import Users, World, worlds
from benchmarks.study.cells import Cells
from benchmarks.study.orders import PAIRS
from benchmarks.study.variants import Tuned, Variant
from benchmarks.study.workshop import Workshop
from recommender import Adapter
from unlearning import (
    Candidate,
    EvaluationInputs,
    ForgetTask,
    decide,
    publishable,
)
from unlearning.audit.predictions import item_log_likelihoods
from unlearning.band import member_z_score, power, z_score
from unlearning.cross_fitting import cross_fit
from unlearning.evaluation.evaluate import evaluate
from unlearning.evaluation.gains import smoothed
from unlearning.never_seen import NeverSeen
from unlearning.records import canonical_json, sha256_hex, to_plain

TRUTH, LEVEL = "refit", "least_change"
# How far towards its level a subject is brought: the whole way, half of it, and as far again beyond it.
PORTIONS = {LEVEL: 1.0, "least_change_half": 0.5, "least_change_double": 2.0}
OTHERS = ("do_nothing", "gradient_ascent")
CANDIDATES = (TRUTH, *PORTIONS, *OTHERS)


@dataclass(frozen=True)
class Plan:
    """Which deletions: `deletions` users of one kind in each of the first `worlds` worlds."""

    users: Users
    worlds: int
    deletions: int

    def trials(self) -> list[Trial]:
        """All of them, world by world."""
        return [
            Trial(self, number, index) for number in range(self.worlds) for index in range(self.deletions)
        ]


@dataclass(frozen=True)
class Trial:
    """All candidates for one subject of one world."""

    plan: Plan
    number: int
    index: int

    def keys(self, workshop: Workshop) -> list[str]:
        """The one cell of this trial."""
        world = worlds_of(workshop, self.plan)[self.number]
        return [
            Cells.key(
                {
                    "gate": "trial",
                    "base": workshop.base.digest,
                    "regime": to_plain(workshop.regime),
                    "policy": workshop.policy.hash,
                    "world": sha256_hex(canonical_json([world.places, world.subjects])),
                    "number": self.number,
                    "subject": self.index,
                    "candidates": [[name, variant.plain()] for name, variant in _variants().items()],
                }
            )
        ]

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Judge every candidate unless that is done."""
        (key,) = self.keys(workshop)
        if cells.get(key) is None:
            cells.put(key, {"commit": commit(), "rows": list(_rows(self, workshop))})


def _rows(trial: Trial, workshop: Workshop) -> Iterator[dict[str, Any]]:
    world, policy, base = worlds_of(workshop, trial.plan)[trial.number], workshop.policy, workshop.base
    place = world.subjects[trial.index]
    parent = _parent(workshop, world)
    level = _levels(workshop, trial.plan, trial.number)[world.places.index(place)]
    sequence = world.everybody[place].train
    # The re-fit never saw any of the world's subjects: to it, they are not retained users.
    retained = tuple(world.everybody[other] for other in world.places if other not in world.subjects)
    seed = trial.index
    smoothing, items = policy.evaluation.smoothing, len(base.catalogue)

    def smoothed_nll(adapter: Adapter) -> float:
        return float(smoothed(-item_log_likelihoods(base, adapter, (sequence,))[0], smoothing, items).mean())

    task = ForgetTask(
        base=base,
        adapter=parent,
        forget=(sequence,),
        retain=tuple(split.train for split in retained),
        retain_validation=(),
        statistics=None,
        training=workshop.regime.training(seed),
        adapter_config=workshop.regime.adapter_config,
        seed=seed,
        smoothing=smoothing,
    )
    inputs = EvaluationInputs.prepare(
        base,
        parent,
        subjects=task.forget,
        retained=retained,
        seed=seed,
        never_seen=(level,),
        config=policy.evaluation,
    )
    before = smoothed_nll(parent)
    truth = _truth(workshop)
    for name, variant in _variants().items():
        portion = PORTIONS.get(name, 1.0)
        aimed = max(before + portion * (level.smoothed_nll - before), 0.0)
        candidate = _candidate(workshop, world, variant, replace(task, never_seen_nll=(aimed,)))
        report = evaluate(inputs, candidate, variant.method)
        verdict = decide(report, policy)
        soft = smoothed_nll(candidate.adapter)
        evidence = report.membership.subjects[0]
        yield {
            "world": world.number,
            "subject": trial.index,
            "items": len(sequence),
            "candidate": name,
            "truth_z": truth.z(place, soft),
            "truth_gap": truth.gap(place, soft),
            "level_error": truth.gap(place, level.smoothed_nll),
            "z": z_score(evidence, policy),
            "predicted_z": z_score(replace(evidence, never_seen=None), policy),
            "parent_z": member_z_score(evidence, policy),
            "power": power(evidence, policy),
            "decision": verdict.decision,
            "accepted": publishable(verdict, method_is_exact=False, policy=policy),
            "measures": {
                reason.measure: {"value": reason.value, "passed": reason.passed}
                for reason in (
                    *verdict.reasons,
                    *(one for subject in verdict.subjects for one in subject.reasons),
                )
            },
            "seconds": candidate.cost.seconds,
        }


def _variants() -> dict[str, Variant]:
    tuned = Tuned.load()
    return {
        TRUTH: Variant(TRUTH, "refit", {}),
        **{name: Variant(name, LEVEL, {}) for name in PORTIONS},
        **{name: tuned.variant(name, "single") for name in OTHERS},
    }


def _candidate(workshop: Workshop, world: World, variant: Variant, task: ForgetTask) -> Candidate:
    if variant.row == TRUTH:
        kept = workshop.fit(world.refit)
        return Candidate(adapter=kept.adapter, cost=kept.cost)
    return variant.method.run(task)


def _parent(workshop: Workshop, world: World) -> Adapter:
    return workshop.fit(world.shadow.order).adapter


@lru_cache(maxsize=2)
def worlds_of(workshop: Workshop, plan: Plan) -> Sequence[World]:
    """The plan's worlds."""
    return worlds(workshop.population, plan.users, plan.worlds, plan.deletions)


@lru_cache(maxsize=2)
def _levels(workshop: Workshop, plan: Plan, number: int) -> Sequence[NeverSeen]:
    world = worlds_of(workshop, plan)[number]
    return cross_fit(
        workshop.base,
        _parent(workshop, world),
        world.users,
        adapter_config=workshop.regime.adapter_config,
        training=workshop.regime.training(number),
        smoothing=workshop.policy.evaluation.smoothing,
        seed=number,
        pairs=PAIRS,
        fit=workshop.fits.kept,
    )


@lru_cache(maxsize=1)
def _truth(workshop: Workshop) -> Truth:
    return Truth.read(workshop)
