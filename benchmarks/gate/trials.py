"""One simulated deletion: several candidates, each with the gate's verdict and the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from benchmarks.environment import commit
from benchmarks.gate.truth import Truth
from benchmarks.gate.worlds import Users, World, worlds
from benchmarks.study.cells import Cells
from benchmarks.study.variants import Tuned, Variant
from benchmarks.study.workshop import Workshop
from recommender import Adapter
from unlearning import Candidate, EvaluationInputs, Method, Policy, build_method, decide, publishable
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.evaluate import evaluate
from unlearning.evaluation.gains import smoothed
from unlearning.gate.band import member_z_score, never_member_band, power, z_score
from unlearning.levels.cross_fitting import cross_fit
from unlearning.levels.never_seen import NeverSeen
from unlearning.records import canonical_json, sha256_hex, to_plain

TRUTH, OUTPUT, LEVEL = "refit", "least_change_output", "least_change"
# How far an edit moves a subject towards their level: all the way, half of the way, or twice as far.
PORTIONS = {LEVEL: 1.0, "least_change_half": 0.5, "least_change_double": 2.0}
# Cheaper edits that also go all the way: one of the output layer, and a part of least change that any adapter takes at
# about the same cost.
CHEAPER: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    OUTPUT: (OUTPUT, {}),
    "least_change_without_repair": (LEVEL, {"repair_steps": 0, "retain_windows": 32}),
}
OTHERS = ("do_nothing", "gradient_ascent")
CANDIDATES = (TRUTH, *CHEAPER, *PORTIONS, *OTHERS)
# Not every deletion has this candidate, see `LaterRungs`.
LATER = "least_change_later"
# A service without a re-fit would publish the first of these that the gate lets through.
RUNGS = (OUTPUT, LEVEL, LATER)
# A candidate further than this from adapters that never saw the user, in their standard deviations, has forgotten too
# little or too much. The gate must not let it through.
WRONG_BEYOND = 3.0


@dataclass(frozen=True)
class Plan:
    """Which deletions to simulate: `deletions` users of one kind in each of `worlds` worlds. A world is one of `parts`
    parts of all users.
    """

    users: Users
    worlds: int
    deletions: int
    parts: int = 2

    def trials(self) -> list[Trial]:
        """All trials, world by world."""
        return [
            Trial(self, number, index) for number in range(self.worlds) for index in range(self.deletions)
        ]


@dataclass(frozen=True)
class Trial:
    """All candidates for one subject of one world; `number` is the world's index in the plan."""

    plan: Plan
    number: int
    index: int

    def keys(self, workshop: Workshop) -> list[str]:
        """The one cell of this trial."""
        world = worlds_of(workshop, self.plan)[self.number]
        candidates = [[name, variant.plain()] for name, variant in _variants().items()]
        judged = {"gate": "trial", "subject": self.index, "candidates": candidates}
        return [key_in(workshop, world, [world.places, world.subjects], judged)]

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Judge every candidate unless the cell is finished."""
        (key,) = self.keys(workshop)
        if cells.get(key) is None:
            cells.put(key, {"commit": commit(), "rows": list(_rows(self, workshop))})


def key_in(workshop: Workshop, world: World, users: Sequence[object], judged: Mapping[str, Any]) -> str:
    """The name of the cell of what is judged in a world; `users` are those on whom its figures depend."""
    return Cells.key(
        {
            "base": workshop.base.digest,
            "regime": to_plain(workshop.regime),
            "policy": workshop.policy.hash,
            "world": sha256_hex(canonical_json(users)),
            "number": world.number,
            **judged,
        }
    )


@dataclass(frozen=True)
class LaterRungs:
    """The ladder's later rungs of `LEVEL`, for a trial in which the gate refused both edits to the level.

    They are judged apart from the trials' candidates. Only a refusal leads here, so these are hard cases, and the gate
    judges the same subject once more.
    """

    trial: Trial

    def keys(self, workshop: Workshop) -> list[str]:
        """The one cell of these rungs. The trial's key contains the policy and thus the ladder."""
        return [Cells.key({"gate": "later rungs", "trial": self.trial.keys(workshop)[0]})]

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Judge rung by rung until one is let through, unless the cell is finished."""
        (key,) = self.keys(workshop)
        if cells.get(key) is not None:
            return
        deletion, rows = _Deletion(self.trial, workshop), []
        for method in _later_rungs(workshop.policy):
            rows.append(deletion.row(LATER, method))
            if rows[-1]["accepted"]:
                break
        cells.put(key, {"commit": commit(), "rows": rows})


def later_rungs(
    plan: Plan, rows_of: Callable[[Trial], Sequence[Mapping[str, Any]]], policy: Policy
) -> list[LaterRungs]:
    """The later rungs for the trials whose edits to the level were refused, if the policy has such rungs."""
    if not _later_rungs(policy):
        return []
    return [
        LaterRungs(trial)
        for trial in plan.trials()
        if not any(row["candidate"] in (OUTPUT, LEVEL) and row["accepted"] for row in rows_of(trial))
    ]


class _Deletion:
    """One subject of one service, and everything needed to make and judge candidates for them."""

    def __init__(self, trial: Trial, workshop: Workshop) -> None:
        world, policy, base = worlds_of(workshop, trial.plan)[trial.number], workshop.policy, workshop.base
        self._trial, self._world, self._workshop = trial, world, workshop
        self._place = world.subjects[trial.index]
        self._level = levels_of(workshop, trial.plan, trial.number)[world.places.index(self._place)]
        self._sequence = world.everybody[self._place].train
        # The re-fit never saw any of the world's subjects, so they do not count as retained users.
        retained = tuple(world.everybody[other] for other in world.places if other not in world.subjects)
        seed, parent = trial.index, _parent(workshop, world)
        self._task = workshop.regime.task(
            base,
            parent,
            [self._sequence],
            [split.train for split in retained],
            seed=seed,
            smoothing=policy.evaluation.smoothing,
        )
        self._inputs = EvaluationInputs.prepare(
            base,
            parent,
            subjects=self._task.forget,
            retained=retained,
            seed=seed,
            never_seen=(self._level,),
            config=policy.evaluation,
        )
        self._before = self._smoothed_nll(parent)

    def row(self, name: str, method: Method, portion: float = 1.0) -> dict[str, Any]:
        """The gate's verdict on the candidate, and the truth.

        Args:
            name: of the row. The candidate `TRUTH` is not made by the method but taken from the fits.
            portion: how far the edit moves the subject towards their level.
        """
        policy, truth = self._workshop.policy, truth_of(self._workshop, self._trial.plan.parts)
        aimed = max(self._before + portion * (self._level.smoothed_nll - self._before), 0.0)
        candidate = (
            self._refit() if name == TRUTH else method.run(replace(self._task, never_seen_nll=(aimed,)))
        )
        report = evaluate(self._inputs, candidate, method)
        verdict = decide(report, policy)
        soft = self._smoothed_nll(candidate.adapter)
        evidence = report.membership.subjects[0]
        reasons = (*verdict.reasons, *(one for subject in verdict.subjects for one in subject.reasons))
        return {
            "world": self._world.number,
            "service": self._world.name(self._workshop.population.source, self._trial.plan.parts),
            "service_users": len(self._world.places),
            "density": self._world.density(len(self._workshop.base.catalogue)),
            "subject": self._trial.index,
            "items": len(self._sequence),
            "candidate": name,
            "truth_z": truth.z(self._place, soft),
            "truth_gap": truth.gap(self._place, soft),
            "level_error": truth.gap(self._place, self._level.smoothed_nll),
            "z": z_score(evidence, policy),
            "predicted_z": z_score(replace(evidence, never_seen=None), policy),
            "parent_z": member_z_score(evidence, policy),
            "deviation": never_member_band(evidence, evidence.candidate, policy).deviation,
            "power": power(evidence, policy),
            "decision": verdict.decision,
            "accepted": publishable(verdict, method_is_exact=False, policy=policy),
            "measures": {
                reason.measure: {"value": reason.value, "passed": reason.passed} for reason in reasons
            },
            # Why the candidate was refused, in words.
            "objections": sorted(
                {f"{one.measure}: {one.detail}" for one in reasons if one.binding and not one.passed}
            ),
            "seconds": candidate.cost.seconds,
        }

    def _refit(self) -> Candidate:
        kept = self._workshop.fit(self._world.refit)
        return Candidate(adapter=kept.adapter, cost=kept.cost)

    def _smoothed_nll(self, adapter: Adapter) -> float:
        base, smoothing = self._workshop.base, self._task.smoothing
        (found,) = item_log_likelihoods(base, adapter, (self._sequence,))
        return float(smoothed(-found, smoothing, base.style.event_options).mean())


def _rows(trial: Trial, workshop: Workshop) -> Iterator[dict[str, Any]]:
    deletion = _Deletion(trial, workshop)
    for name, variant in _variants().items():
        yield deletion.row(name, variant.method, PORTIONS.get(name, 1.0))


def _later_rungs(policy: Policy) -> list[Method]:
    """The rungs that name `LEVEL`, except the first one."""
    rungs = [rung for rung in policy.ladder if rung.method == LEVEL and rung.search is None]
    return [build_method(rung.method, rung.config) for rung in rungs[1:]]


def _variants() -> dict[str, Variant]:
    tuned = Tuned.load()
    return {
        TRUTH: Variant(TRUTH, "refit", {}),
        **{name: Variant(name, *edit) for name, edit in CHEAPER.items()},
        **{name: Variant(name, LEVEL, {}) for name in PORTIONS},
        **{name: tuned.variant(name, "single") for name in OTHERS},
    }


def _parent(workshop: Workshop, world: World) -> Adapter:
    return workshop.fit(world.shadow.order).adapter


@lru_cache(maxsize=2)
def worlds_of(workshop: Workshop, plan: Plan) -> Sequence[World]:
    """The plan's worlds."""
    return worlds(workshop.population, plan.users, plan.worlds, plan.deletions, plan.parts)


@lru_cache(maxsize=2)
def levels_of(workshop: Workshop, plan: Plan, number: int) -> Sequence[NeverSeen]:
    """The levels that the service of this world would find, in the order of the world's places."""
    world = worlds_of(workshop, plan)[number]
    return cross_fit(
        workshop.base,
        _parent(workshop, world),
        world.users,
        adapter_config=workshop.regime.adapter_config,
        training=workshop.regime.training(world.number),
        smoothing=workshop.policy.evaluation.smoothing,
        seed=world.number,
        fit=workshop.fits.kept,
    )


@lru_cache(maxsize=1)
def truth_of(workshop: Workshop, parts: int) -> Truth:
    """The truth about every user, from fits on so many parts."""
    return Truth.read(workshop, parts)
