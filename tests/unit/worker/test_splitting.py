"""The rule of the ladder against gates that are made up: who is served, who leaves, and that it always ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.runs.splitting import SplitOut
from worker.splitting import Judged, NobodyServed, Served, serve

Group = tuple[str, ...]


@dataclass
class Ladder:
    """Rungs whose gate is a function of who is tried: (passing, run passes, run fails)."""

    rungs: int
    gate: Callable[[Group, int], tuple[Group, bool, bool]]
    time_up_to: int = 99
    exact_from: int = 99
    draws: int = 1
    useless: tuple[int, ...] = ()
    attempts: list[tuple[str, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.rungs

    def attempt(self, requests: Group, rung_index: int) -> Judged[str]:
        self.attempts.append(("".join(requests), rung_index))
        passing, run_passes, run_fails = self.gate(requests, rung_index)
        exact = rung_index >= self.exact_from
        return Judged("".join(requests), run_passes, run_fails, passing, exact, exact and run_fails)

    def in_time(self, rung_index: int) -> bool:
        return len(self.attempts) < self.time_up_to or rung_index == self.rungs - 1

    def draws_again(self, requests: Group, rung_index: int) -> bool:
        return sum(tried == rung_index for _, tried in self.attempts) < self.draws

    def settle_on(self, rung_index: int, requests: Group) -> int:
        while rung_index in self.useless:
            rung_index += 1
        return rung_index if self.in_time(rung_index) else self.rungs - 1


def all_but(*failing: str) -> Callable[[Group, int], tuple[Group, bool, bool]]:
    return lambda group, rung_index: (tuple(one for one in group if one not in failing), True, False)


def test_everybody_passes() -> None:
    ladder = Ladder(2, all_but())
    assert serve(ladder, "abc", 0) == Served("abc", SplitOut())
    assert ladder.attempts == [("abc", 0)]


def test_who_fails_leaves_for_the_next_rung_and_the_others_are_served() -> None:
    ladder = Ladder(2, all_but("b"))
    assert serve(ladder, "abc", 0) == Served("abc", SplitOut(returned={"b": 1}))
    assert ladder.attempts == [("abc", 0)]


def test_who_fails_the_last_rung_needs_a_person_and_the_others_are_served() -> None:
    assert serve(Ladder(2, all_but("b")), "abc", 1) == Served("abc", SplitOut(exhausted=("b",)))


def test_whom_an_exact_rung_refused_is_not_let_off_and_the_others_are_tried_without_them() -> None:
    """b is so far out that the run fails with it."""

    def gate(group: Group, rung_index: int) -> tuple[Group, bool, bool]:
        return tuple(one for one in group if one != "b"), "b" not in group, "b" in group

    ladder = Ladder(1, gate, exact_from=0)
    assert serve(ladder, "abc", 0) == Served("ac", SplitOut(exhausted=("b",)))
    assert ladder.attempts == [("abc", 0), ("ac", 0)]
    approximate = Ladder(1, gate)
    assert serve(approximate, "abc", 0) == Served("a", SplitOut(returned={"b": 0, "c": 0}))


def test_an_exact_rung_that_fails_the_run_has_failed_everybody_at_once() -> None:
    """It serves the others worse, say: no smaller group changes that, and each run of its own would be a re-fit."""
    ladder = Ladder(1, lambda group, rung_index: (group, False, True), exact_from=0)
    assert serve(ladder, "abcd", 0) == NobodyServed(SplitOut(exhausted=tuple("abcd")))
    assert ladder.attempts == [("abcd", 0)]
    # The same where it refuses somebody and fails the others all the same.
    ladder = Ladder(1, lambda group, rung_index: (tuple(set(group) - {"b"}), False, True), exact_from=0)
    outcome = serve(ladder, "ab", 0)
    assert outcome == NobodyServed(SplitOut(exhausted=("a", "b")))
    assert ladder.attempts == [("ab", 0), ("a", 0)]
    # Another exact rung may follow.
    ladder = Ladder(2, lambda group, rung_index: (group, rung_index == 1, rung_index == 0), exact_from=0)
    assert serve(ladder, "ab", 0) == Served("ab", SplitOut())
    assert ladder.attempts == [("ab", 0), ("ab", 1)]


def lucky_at(draw: int) -> Callable[[Group, int], tuple[Group, bool, bool]]:
    """Everybody is forgotten by every draw; the others are served as well by this one and by no other."""
    made: list[None] = []

    def gate(group: Group, rung_index: int) -> tuple[Group, bool, bool]:
        made.append(None)
        return group, len(made) == draw, len(made) != draw

    return gate


def test_an_exact_rung_is_drawn_again_until_a_draw_serves_the_others_as_well() -> None:
    ladder = Ladder(1, lucky_at(3), exact_from=0, draws=3)
    assert serve(ladder, "ab", 0) == Served("ab", SplitOut())
    assert ladder.attempts == [("ab", 0)] * 3
    spent = Ladder(1, lucky_at(4), exact_from=0, draws=3)
    assert serve(spent, "ab", 0) == NobodyServed(SplitOut(exhausted=("a", "b")))
    assert spent.attempts == [("ab", 0)] * 3
    once = Ladder(1, lucky_at(1), exact_from=0, draws=3)
    assert serve(once, "ab", 0) == Served("ab", SplitOut())
    assert once.attempts == [("ab", 0)]


def test_those_whom_an_exact_rung_did_not_refuse_are_drawn_for_as_well() -> None:
    """b is far out, and the first two draws serve the others worse besides: bad luck for a and c."""
    made: list[Group] = []

    def gate(group: Group, rung_index: int) -> tuple[Group, bool, bool]:
        made.append(group)
        fails = "b" in group or len(made) < 4
        return tuple(one for one in group if one != "b"), not fails, fails

    class OfTwoKinds(Ladder):
        def attempt(self, requests: Group, rung_index: int) -> Judged[str]:
            judged = super().attempt(requests, rung_index)
            return replace(judged, by_draw=judged.by_draw and "b" not in requests)

    ladder = OfTwoKinds(1, gate, exact_from=0, draws=4)
    assert serve(ladder, "abc", 0) == Served("ac", SplitOut(exhausted=("b",)))
    assert ladder.attempts == [("abc", 0), ("ac", 0), ("ac", 0), ("ac", 0)]


def test_a_rung_of_no_use_is_passed_by() -> None:
    ladder = Ladder(3, all_but("b"), useless=(0,))
    assert serve(ladder, "abc", 0) == Served("abc", SplitOut(returned={"b": 2}))
    assert ladder.attempts == [("abc", 1)]
    # After a rung that nobody passes too.
    ladder = Ladder(3, lambda group, rung_index: (group, rung_index == 2, rung_index < 2), useless=(1,))
    assert serve(ladder, "a", 0) == Served("a", SplitOut())
    assert ladder.attempts == [("a", 0), ("a", 2)]


def test_where_nobody_passes_the_whole_group_goes_on_in_the_same_run() -> None:
    ladder = Ladder(
        3, lambda group, rung_index: (group if rung_index == 2 else (), rung_index == 2, rung_index == 0)
    )
    assert serve(ladder, "ab", 0) == Served("ab", SplitOut())
    assert ladder.attempts == [("ab", 0), ("ab", 1), ("ab", 2)]


def test_a_rung_that_cannot_be_carried_out_is_one_that_nobody_passes() -> None:
    class Broken(Ladder):
        def attempt(self, requests: Group, rung_index: int) -> Judged[str]:
            if rung_index == 0:
                return Judged(None, run_passes=False, run_fails=False, passing=())
            return super().attempt(requests, rung_index)

    assert serve(Broken(2, all_but()), "ab", 0) == Served("ab", SplitOut())


def small_enough(most: int) -> Callable[[Group, int], tuple[Group, bool, bool]]:
    return lambda group, rung_index: (group, len(group) <= most, len(group) > most)


def test_a_run_that_fails_as_a_whole_is_halved_until_a_group_is_served() -> None:
    ladder = Ladder(2, small_enough(2))
    assert serve(ladder, "abcde", 0) == Served("ab", SplitOut(returned={"c": 0, "d": 0, "e": 0}))
    assert ladder.attempts == [("abcde", 0), ("abc", 0), ("ab", 0)]


def test_a_run_that_cannot_be_told_as_a_whole_is_not_halved() -> None:
    """Too few retained users stay too few for any half."""
    ladder = Ladder(2, lambda group, rung_index: (group, rung_index == 1, False))
    assert serve(ladder, "abcd", 0) == Served("abcd", SplitOut())
    assert ladder.attempts == [("abcd", 0), ("abcd", 1)]


def spoilt_by(who: str, rungs: Mapping[int, bool]) -> Callable[[Group, int], tuple[Group, bool, bool]]:
    """The run fails wherever this one is in it, up to the rung that does."""

    def gate(group: Group, rung_index: int) -> tuple[Group, bool, bool]:
        spoilt = who in group and not rungs.get(rung_index, False)
        return group, not spoilt, spoilt

    return gate


def test_one_who_fails_alone_leaves_and_the_rest_get_their_try() -> None:
    ladder = Ladder(2, spoilt_by("a", {}))
    assert serve(ladder, "abcd", 0) == Served("bcd", SplitOut(returned={"a": 1}))
    assert ladder.attempts == [("abcd", 0), ("ab", 0), ("a", 0), ("bcd", 0)]


def test_a_rung_that_does_not_even_do_for_one_costs_nobody_a_run_of_their_own() -> None:
    ladder = Ladder(2, lambda group, rung_index: (group, rung_index == 1, rung_index == 0))
    assert serve(ladder, "abcd", 0) == Served("abcd", SplitOut())
    assert ladder.attempts == [("abcd", 0), ("ab", 0), ("a", 0), ("bcd", 0), ("abcd", 1)]


def test_on_the_last_rung_one_alone_needs_a_person_and_the_rest_go_on() -> None:
    ladder = Ladder(2, spoilt_by("a", {}))
    assert serve(ladder, "abc", 1) == Served("bc", SplitOut(exhausted=("a",)))
    hopeless = Ladder(1, lambda group, rung_index: (group, False, True))
    assert serve(hopeless, "abc", 0) == NobodyServed(SplitOut(returned={"b": 0, "c": 0}, exhausted=("a",)))


def test_a_rung_beyond_a_policy_that_became_shorter_is_its_last() -> None:
    ladder = Ladder(2, all_but())
    serve(ladder, "a", 7)
    assert ladder.attempts == [("a", 1)]


def test_without_time_the_group_goes_straight_to_where_there_is() -> None:
    ladder = Ladder(4, small_enough(1), time_up_to=0)
    assert serve(ladder, "a", 0) == Served("a", SplitOut())
    assert ladder.attempts == [("a", 3)]
    # Time runs out while a rung is being halved: everybody goes on, nobody is left behind for it.
    ladder = Ladder(3, lambda group, rung_index: (group, rung_index == 2, rung_index < 2), time_up_to=2)
    assert serve(ladder, "abcd", 0) == Served("abcd", SplitOut())
    assert ladder.attempts == [("abcd", 0), ("ab", 0), ("abcd", 2)]


@st.composite
def gates(draw: st.DrawFn) -> tuple[int, int, Callable[[Group, int], tuple[Group, bool, bool]]]:
    rungs, people = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    names = "abcdefghijkl"[:people]
    # From which rung on each passes by itself, and stops spoiling the run for the others; `rungs` means never.
    alone = {one: draw(st.integers(0, rungs)) for one in names}
    harmless = {one: draw(st.integers(0, rungs)) for one in names}
    most = [draw(st.integers(0, people)) for _ in range(rungs)]
    undecided = draw(st.booleans())

    def gate(group: Group, rung_index: int) -> tuple[Group, bool, bool]:
        passing = tuple(one for one in group if alone[one] <= rung_index)
        spoilt = len(group) > most[rung_index] or any(harmless[one] > rung_index for one in group)
        return passing, not spoilt, spoilt and not undecided

    return rungs, people, gate


# A busy machine is no reason to fail.
@settings(deadline=None)
@given(gates(), st.integers(0, 40), st.integers(0, 4), st.integers(1, 3), st.sets(st.integers(0, 3)))
def test_every_run_serves_somebody_or_raises_somebodys_rung(
    made: tuple[int, int, Callable[[Group, int], tuple[Group, bool, bool]]],
    time_up_to: int,
    exact_from: int,
    draws: int,
    useless: set[int],
) -> None:
    """The whole service in small: what leaves a run queues again, until nobody waits."""
    rungs, people, gate = made
    waiting = dict.fromkeys("abcdefghijkl"[:people], 0)
    served: list[str] = []
    exhausted: list[str] = []
    for _ in range(people * rungs):
        if not waiting:
            break
        before = sum(rungs - rung_index for rung_index in waiting.values())
        first_step = next(iter(waiting.values()))
        group = [one for one, rung_index in waiting.items() if rung_index == first_step]
        no_use = tuple(useless - {rungs - 1})
        ladder = Ladder(rungs, gate, time_up_to, exact_from, draws, no_use)
        outcome = serve(ladder, group, first_step)
        split = outcome.split
        assert set(split.returned) | set(split.exhausted) <= set(group)
        assert not set(split.returned) & set(split.exhausted)
        assert all(first_step <= rung_index < rungs for rung_index in split.returned.values())
        for one in group:
            del waiting[one]
        if isinstance(outcome, Served):
            now = [one for one in group if one not in split.returned and one not in split.exhausted]
            assert now
            assert set(now) <= set(outcome.candidate)
            served += now
        else:
            assert split.exhausted
            assert set(split.exhausted) | set(split.returned) == set(group)
        exhausted += split.exhausted
        waiting = dict(sorted({**waiting, **split.returned}.items()))
        assert sum(rungs - rung_index for rung_index in waiting.values()) < before
        for rung_index in range(rungs):
            tries = sum(tried == rung_index for _, tried in ladder.attempts)
            assert tries <= max(math.ceil(math.log2(len(group))) + 2, draws + 1)
    assert not waiting
    assert sorted(served + exhausted) == list("abcdefghijkl"[:people])
