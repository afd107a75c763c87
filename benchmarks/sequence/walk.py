"""Many requests in a row, as a service handles them: edit, gate, consolidate when the budget is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.environment import commit
from benchmarks.fits import Fit
from benchmarks.sequence.measures import order, places_in_band, refit_without, sides, utility
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.levels import levels
from benchmarks.study.variants import Tuned, Variant
from benchmarks.study.workshop import Workshop
from recommender import Adapter, Split
from unlearning import (
    Candidate,
    EvaluationInputs,
    ForgetTask,
    Report,
    Spent,
    Verdict,
    build_method,
    consolidation_due,
    decide,
    publishable,
    utility_change,
)
from unlearning.evaluation.evaluate import evaluate
from unlearning.levels.never_seen import NeverSeen
from unlearning.records import to_plain

# After so many requests, all users who were forgotten so far are measured again.
EVERY = 10


@dataclass(frozen=True)
class Walk:
    """One way to handle the requests: a method for every request, with or without consolidations.

    With consolidations, the service tries the policy's ladder from the first rung that names the method. It re-fits
    without all users forgotten so far if the gate lets no candidate through or the policy's budget is spent. Without
    consolidations, the first candidate is taken without asking the gate.
    """

    name: str
    requests: int
    seed: int
    consolidates: bool

    def keys(self, workshop: Workshop) -> list[str]:
        """The one cell of this walk."""
        return [self._key(workshop, "rows")]

    @property
    def variant(self) -> Variant:
        """The method with the configuration found for single requests."""
        return Tuned.load().variant(self.name, "single")

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Walk unless the cell is finished. A walk that was killed goes on from its last consolidation, if any."""
        (key,) = self.keys(workshop)
        if cells.get(key) is not None:
            return
        state, rows = State(), list[dict[str, Any]]()
        while state.number < self.requests:
            stage_key = self._key(workshop, f"from {state.number}")
            stage = cells.get(stage_key)
            if stage is None:
                made, after = _stage(self, workshop, state)
                stage = {"commit": commit(), "rows": made, "state": to_plain(after)}
                cells.put(stage_key, stage)
            rows += stage["rows"]
            state = State.from_plain(stage["state"])
        cells.put(key, {"commit": commit(), "rows": rows})

    def _key(self, workshop: Workshop, part: str) -> str:
        return Cells.key(
            {
                "sequence": self.name,
                "part": part,
                "requests": self.requests,
                "seed": self.seed,
                "consolidates": self.consolidates,
                "config": self.variant.plain(),
                "base": workshop.base.digest,
                "regime": to_plain(workshop.regime),
                "policy": workshop.policy.hash,
            }
        )


@dataclass(frozen=True)
class State:
    """The state of a walk before its first request or right after a consolidation, from which it can go on.

    `number` requests are done, `later_rungs` of them by another rung than the first. `inside` are the indices of users
    who have been inside the band, `resurgent` those of users who were known again after that. `refits_because` counts
    the reasons of re-fits: the measures that objected to refused candidates, and spent budgets.
    """

    number: int = 0
    seconds: float = 0.0
    refits: int = 0
    later_rungs: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    refits_because: dict[str, int] = field(default_factory=dict)
    inside: tuple[int, ...] = ()
    resurgent: tuple[int, ...] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> State:
        """The state from JSON values."""
        return cls(**{**plain, "inside": tuple(plain["inside"]), "resurgent": tuple(plain["resurgent"])})


def _stage(walk: Walk, workshop: Workshop, state: State) -> tuple[list[dict[str, Any]], State]:
    """Walk until the next consolidation or the end; the rows on the way, and the state after them."""
    population, policy = workshop.population, workshop.policy
    places = order(workshop, walk.requests, walk.seed)
    known = levels(workshop, walk.seed)
    adapter = _fitted(walk, workshop, places[: state.number]).adapter
    spent, seconds, refits = Spent(0, 0, 0.0, 0.0), state.seconds, state.refits
    decisions, because = Counter(state.decisions), Counter(state.refits_because)
    later_rungs = state.later_rungs
    inside, resurgent = set(state.inside), set(state.resurgent)
    rows = []
    for number, place in enumerate(places[state.number :], start=state.number + 1):
        gone = frozenset(places[:number])
        retained = tuple(split for other, split in enumerate(population.service) if other not in gone)
        task = _task(walk, workshop, adapter, place, retained, known[place], number)
        consolidated = False
        if not walk.consolidates:
            candidate = walk.variant.method.run(task)
            seconds += candidate.cost.seconds
        else:
            first = number == state.number + 1
            tried = _climb(walk, workshop, task, retained, known[place], parent_is_exact=first)
            candidate, report, verdict = tried[-1]
            seconds += sum(one.cost.seconds for one, _, _ in tried)
            decisions[verdict.decision] += 1
            let_through = publishable(verdict, method_is_exact=False, policy=policy)
            later_rungs += let_through and len(tried) > 1
            spent = replace(
                spent,
                subjects=spent.subjects + 1,
                attenuations=spent.attenuations + 1,
                # As the service counts: the shares of utility that were kept are multiplied.
                utility_loss=1.0 - (1.0 - spent.utility_loss) * (1.0 + (utility_change(report) or 0.0)),
            )
            due = consolidation_due(policy.consolidation, spent)
            if not let_through:
                because.update(_objections(verdict))
                consolidated = True
            elif due is not None:
                because[f"budget: {due}"] += 1
                consolidated = True
            if consolidated:
                fitted = _fitted(walk, workshop, places[:number])
                candidate = Candidate(fitted.adapter, fitted.cost)
                seconds, refits = seconds + fitted.cost.seconds, refits + 1
        adapter = candidate.adapter
        z = places_in_band(workshop, adapter, places[:number], known)
        known_again = {other for other in inside if z[other] > policy.membership_z}
        resurgent |= known_again
        inside |= {other for other, value in z.items() if abs(value) <= policy.membership_z}
        if number % EVERY == 0 or number == walk.requests:
            everybody_else = tuple(
                split for other, split in enumerate(population.service) if other not in set(places)
            )
            rows.append(
                {
                    "walk": _title(walk),
                    "requests": number,
                    **utility(workshop, adapter, everybody_else),
                    **sides(z, policy.membership_z),
                    "known_again_now": len(known_again),
                    "ever_known_again": len(resurgent),
                    "passed": decisions["pass"],
                    "failed": decisions["fail"],
                    "inconclusive": decisions["inconclusive"],
                    "later_rungs": later_rungs,
                    "refits": refits,
                    "refits_because": dict(because),
                    "seconds": seconds,
                }
            )
        if consolidated:
            break
    ended = State(
        number,
        seconds,
        refits,
        later_rungs,
        dict(decisions),
        dict(because),
        tuple(sorted(inside)),
        tuple(sorted(resurgent)),
    )
    return rows, ended


def _fitted(walk: Walk, workshop: Workshop, gone: Sequence[int]) -> Fit:
    """The exact fit without the users who have asked so far."""
    if not gone:
        return workshop.fit(orders.parent(workshop.population, walk.seed))
    return workshop.fit(refit_without(workshop, frozenset(gone), walk.seed))


def _objections(verdict: Verdict) -> set[str]:
    """The binding measures that did not pass."""
    reasons = (*verdict.reasons, *(reason for subject in verdict.subjects for reason in subject.reasons))
    return {reason.measure for reason in reasons if reason.binding and not reason.passed}


def _task(
    walk: Walk,
    workshop: Workshop,
    adapter: Adapter,
    place: int,
    retained: tuple[Split, ...],
    level: NeverSeen,
    number: int,
) -> ForgetTask:
    # No statistics: every request edits the adapter, so sums cached for it hold for the first request only.
    return workshop.regime.task(
        workshop.base,
        adapter,
        [workshop.population.service[place].train],
        [split.train for split in retained],
        seed=1000 * number + walk.seed,
        training_seed=walk.seed,
        never_seen_nll=(level.smoothed_nll,),
        smoothing=workshop.policy.evaluation.smoothing,
    )


def _climb(
    walk: Walk,
    workshop: Workshop,
    task: ForgetTask,
    retained: tuple[Split, ...],
    level: NeverSeen,
    *,
    parent_is_exact: bool,
) -> list[tuple[Candidate, Report, Verdict]]:
    """The results of the rungs, from the method's first one to the first whose candidate the gate lets through."""
    policy = workshop.policy
    inputs = EvaluationInputs.prepare(
        workshop.base,
        task.adapter,
        subjects=task.forget,
        retained=retained,
        seed=task.seed,
        never_seen=(level,),
        parent_is_exact=parent_is_exact,
        config=policy.evaluation,
    )
    tried: list[tuple[Candidate, Report, Verdict]] = []
    first = next(place for place, rung in enumerate(policy.ladder) if rung.method == walk.name)
    for rung in policy.ladder[first:]:
        method = build_method(rung.method, rung.config)
        if method.card.exact:
            break
        candidate = method.run(task)
        report = evaluate(inputs, candidate, method)
        verdict = decide(report, policy)
        tried.append((candidate, report, verdict))
        if publishable(verdict, method_is_exact=False, policy=policy):
            break
    return tried


def _title(walk: Walk) -> str:
    return title(walk.name, walk.consolidates)


def title(name: str, consolidates: bool) -> str:
    """The name of a walk in tables and on the command line."""
    return f"{name}, consolidated" if consolidates else name
