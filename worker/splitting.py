"""Which requests of a run are served and which leave it: the rule of the ladder, without models or a database.

A rung is tried on everybody of the run, the earliest deadline first. Then

* some pass and nothing about the run as a whole is in the way: these are served, and whoever failed leaves for the
  next rung;
* the run as a whole fails (utility, or membership of all together) although somebody passes: the same rung is tried on
  the first half, and so on down to one, until a group is served; whoever was not tried again leaves for the same rung;
* an exact rung is not halved: it never read any of them, so company cannot have been to blame, and a smaller group of
  the same people proves nothing. If nothing is against it but that it serves the others worse, that was its draw: it is
  drawn again with another seed, as often as the rungs allow. If it fails the run and refuses somebody, the others get
  a try without the refused, by the same rule;
* nobody passes, or it cannot be told for the run as a whole, or one alone fails the run: the rung has failed those it
  was last tried on. The others, who may only have been in bad company, get one try without them. If that fails too,
  everybody goes on to the next rung together: a rung that does not even do for one must not cost each request a run of
  its own.

On the last rung, those it has failed need a person; the others leave for another try at it.

Progress. One rung takes at most log2(n) + 2 attempts, because each halves the group, or, if it is exact, the draws that
are allowed and one more; then the rung index grows; so a run ends. It ends either with at least one request served, or
with at least one that has failed the last rung. Nobody leaves for a rung below the one their run started at. So the
rungs that are left, summed over all unfinished requests, shrink with every run that gets to its end, and n requests
need at most n * rungs of them. A run that is killed changes nothing of this: who leaves is written down together with
who is served, or not at all. Nor does one that stops for want of time to draw again: its draws are counted on record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.runs.splitting import SplitOut

T = TypeVar("T")


@dataclass(frozen=True)
class Judged(Generic[T]):
    """What the gate said about one candidate.

    Attributes:
        candidate: None where the rung could not be carried out.
        run_passes: nothing about the group as a whole is in the way.
        run_fails: something about the group as a whole clearly fails; false where the data cannot tell.
        passing: the requests whose own figures are not in the way.
        exact: the candidate never read any of the group.
        by_draw: it is exact, and refused for nothing but what it does for the others: another seed may do better.
    """

    candidate: T | None
    run_passes: bool
    run_fails: bool
    passing: tuple[str, ...]
    exact: bool = False
    by_draw: bool = False


@dataclass(frozen=True)
class Served(Generic[T]):
    """The candidate to publish, and who leaves because it does not serve them."""

    candidate: T
    split: SplitOut


@dataclass(frozen=True)
class NobodyServed:
    """The ladder has ended without a candidate."""

    split: SplitOut


class Rungs(Protocol[T]):
    """The rungs of a ladder, as this rule needs them."""

    def __len__(self) -> int:
        """How many there are."""

    def attempt(self, requests: tuple[str, ...], rung_index: int) -> Judged[T]:
        """Try one rung on these requests."""

    def in_time(self, rung_index: int) -> bool:
        """Whether there is time for one more try at this rung."""

    def draws_again(self, requests: tuple[str, ...], rung_index: int) -> bool:
        """Whether this exact rung, whose last draw went wrong, is drawn once more for these requests; the next attempt
        at it then is.
        """

    def settle_on(self, rung_index: int, requests: tuple[str, ...]) -> int:
        """This rung, or a later one where it is of no use to these requests or there is no time for it."""


def serve(rungs: Rungs[T], requests: Sequence[str], first_step: int) -> Served[T] | NobodyServed:
    """Climb from `first_step` on until somebody is served or the ladder ends.

    Args:
        requests: all of the run's that there is something to unlearn for, the earliest deadline first; not empty.
        first_step: clamped to the last rung, should the policy have become shorter.
    """
    group = tuple(requests)
    rung_index = rungs.settle_on(min(first_step, len(rungs) - 1), group)
    while True:
        outcome = _try_rung(rungs, group, rung_index)
        if isinstance(outcome, Served):
            return outcome
        if rung_index + 1 == len(rungs):
            others = {request: rung_index for request in group if request not in outcome}
            return NobodyServed(SplitOut(returned=others, exhausted=outcome))
        rung_index = rungs.settle_on(rung_index + 1, group)


def _try_rung(rungs: Rungs[T], group: tuple[str, ...], rung_index: int) -> Served[T] | tuple[str, ...]:
    """What this rung achieves, or those whom it has failed."""
    part = group
    while True:
        judged = _drawn(rungs, part, rung_index)
        if judged.candidate is not None and judged.run_passes and judged.passing:
            others = dict.fromkeys(group[len(part) :], rung_index)
            failed = tuple(one for one in part if one not in judged.passing)
            return Served(judged.candidate, _leaving(rungs, rung_index, failed, others))
        if judged.exact:
            return _without_refused(rungs, group, judged, rung_index)
        divisible = judged.run_fails and judged.passing and len(part) > 1
        if not (divisible and rungs.in_time(rung_index)):
            break
        part = part[: (len(part) + 1) // 2]
    rest = group[len(part) :]
    if rest and rungs.in_time(rung_index):
        judged = rungs.attempt(rest, rung_index)
        if judged.candidate is not None and judged.run_passes and judged.passing:
            failed = tuple(request for request in group if request not in judged.passing)
            return Served(judged.candidate, _leaving(rungs, rung_index, failed, {}))
    return part


def _drawn(rungs: Rungs[T], part: tuple[str, ...], rung_index: int) -> Judged[T]:
    """What the rung makes of this part; an exact one by as many draws as it takes and as there may be."""
    judged = rungs.attempt(part, rung_index)
    while judged.by_draw and rungs.draws_again(part, rung_index):
        judged = rungs.attempt(part, rung_index)
    return judged


def _without_refused(
    rungs: Rungs[T], group: tuple[str, ...], judged: Judged[T], rung_index: int
) -> Served[T] | tuple[str, ...]:
    """What an exact rung that failed the run achieves for those of the group whom it did not refuse."""
    rest = judged.passing
    if judged.run_fails and 0 < len(rest) < len(group) and rungs.in_time(rung_index):
        again = _drawn(rungs, rest, rung_index)
        if again.candidate is not None and again.run_passes and again.passing:
            failed = tuple(one for one in group if one not in again.passing)
            return Served(again.candidate, _leaving(rungs, rung_index, failed, {}))
    return group


def _leaving(rungs: Rungs[T], rung_index: int, failed: tuple[str, ...], others: dict[str, int]) -> SplitOut:
    if rung_index + 1 == len(rungs):
        return SplitOut(returned=others, exhausted=failed)
    return SplitOut(returned=others | dict.fromkeys(failed, rung_index + 1))
