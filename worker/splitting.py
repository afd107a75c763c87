"""Which requests of a run are served and which leave it: the rule of the ladder, without models or a database.

A rung is tried on all requests of the run, the earliest deadline first. The result decides what follows:

* Some requests pass and the run as a whole passes. These requests are served; requests that failed leave for the next
  rung.
* The run as a whole fails (utility, or membership of all together) although some request passes. The same rung is tried
  on the first half of the group, and so on down to one request, until a group is served. Requests that were not tried
  again leave for the same rung.
* An exact rung is not halved. It never read any of the subjects, so a smaller group of them would show nothing new. If
  it is refused only because it serves the retained users worse, it is drawn again with another seed, as often as the
  rungs allow. If it fails the run and refuses some requests, the others are tried once without the refused ones, by the
  same rule.
* No request passes, or the verdict on the run as a whole is inconclusive, or a group of one fails the run. The rung has
  failed the group that it was last tried on. The other requests may have failed only because of this group, so they are
  tried once without it. If that fails too, all requests go on to the next rung together: a rung that does not even
  serve one request must not cost each request a run of its own.

On the last rung, the requests that it has failed need a person. The others leave for another try at it.

Why this ends: one rung takes at most log2(n) + 2 attempts, because each attempt halves the group. An exact rung takes
at most the allowed draws and one more. Then the rung index grows, so a run ends. It ends with at least one request
served, or with at least one that has failed the last rung. No request leaves for a rung below the one at which its run
started. So the number of rungs left, summed over all unfinished requests, shrinks with every run that ends, and n
requests need at most n * rungs runs. A killed run does not change this: the requests that leave are recorded in the
same transaction as those that are served, or not at all. Nor does a run without time for another draw: its draws are on
record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.runs.splitting import SplitOut

T = TypeVar("T")


@dataclass(frozen=True)
class Judged(Generic[T]):
    """The gate's verdict on one candidate.

    Attributes:
        candidate: None if the rung failed with an error.
        run_passes: whether every measure of the group as a whole passes.
        run_fails: whether a measure of the group as a whole fails; false if it is inconclusive.
        passing: the requests whose own measures pass.
        exact: whether the candidate never read any subject of the group.
        by_draw: whether the candidate is exact and refused only because it serves the retained users worse: another
            seed may do better.
    """

    candidate: T | None
    run_passes: bool
    run_fails: bool
    passing: tuple[str, ...]
    exact: bool = False
    by_draw: bool = False


@dataclass(frozen=True)
class Served(Generic[T]):
    """The candidate to publish, and the requests that leave because it does not serve them."""

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
        """Whether this exact rung, refused because of its draw, may be drawn once more for these requests.

        If so, the next attempt at it uses another seed.
        """

    def settle_on(self, rung_index: int, requests: tuple[str, ...]) -> int:
        """This rung, or the first later one that can help these requests and for which there is time."""


def serve(rungs: Rungs[T], requests: Sequence[str], first_step: int) -> Served[T] | NobodyServed:
    """Climb from `first_step` on until somebody is served or the ladder ends.

    Args:
        requests: ids of the run's requests that have something to unlearn, the earliest deadline first; not empty.
        first_step: index of the first rung; the last rung if the policy has become shorter.
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
    """What this rung serves, or the requests that it has failed."""
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
    """The verdict on this part. An exact rung is drawn again while its draw is to blame and another draw is allowed."""
    judged = rungs.attempt(part, rung_index)
    while judged.by_draw and rungs.draws_again(part, rung_index):
        judged = rungs.attempt(part, rung_index)
    return judged


def _without_refused(
    rungs: Rungs[T], group: tuple[str, ...], judged: Judged[T], rung_index: int
) -> Served[T] | tuple[str, ...]:
    """Try an exact rung that failed the run once more, without the requests that it refused."""
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
