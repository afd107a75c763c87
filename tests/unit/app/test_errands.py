"""Errands that hang, fail and repeat."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from app import probe as probes
from app.errands import Errands
from app.probe import Probe

LONG = 30.0


class Errand:
    """Records what it was asked to do; hangs on `slow` until it is let go, and fails on `bad`."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.hangs, self.let_go = threading.Event(), threading.Event()

    def __call__(self, key: str, value: int) -> None:
        if key == "slow":
            self.hangs.set()
            assert self.let_go.wait(LONG)
        if key == "bad":
            raise OSError("no")
        self.done.append((key, value))


@pytest.fixture
def errand() -> Errand:
    return Errand()


@pytest.fixture
def errands(errand: Errand) -> Iterator[Errands[int]]:
    made: Errands[int] = Errands("test", errand)
    made.start()
    yield made
    errand.let_go.set()
    assert made.stop(LONG)


def test_adding_returns_while_an_errand_hangs_and_each_key_waits_once(
    errand: Errand, errands: Errands[int]
) -> None:
    errands.add("slow", 0)
    assert errand.hangs.wait(LONG)
    for number in range(60):
        errands.add("slow", number)
        errands.add("a", number)
        errands.add("b", number)
    assert errand.done == []
    errand.let_go.set()
    assert errands.stop(LONG)
    assert errand.done == [("slow", 0), ("a", 0), ("b", 0)]


def test_what_was_done_can_be_asked_for_again(errand: Errand, errands: Errands[int]) -> None:
    errands.add("a", 1)
    # Behind it in the line: once it hangs, the first is done.
    errands.add("slow", 1)
    assert errand.hangs.wait(LONG)
    errands.add("a", 2)
    errand.let_go.set()
    assert errands.stop(LONG)
    assert errand.done == [("a", 1), ("slow", 1), ("a", 2)]


def test_one_that_fails_does_not_end_the_others(errand: Errand, errands: Errands[int]) -> None:
    errands.add("bad", 1)
    errands.add("a", 1)
    assert errands.stop(LONG)
    assert errand.done == [("a", 1)]


def test_stopping_does_not_wait_for_one_that_hangs_and_takes_no_more(
    errand: Errand, errands: Errands[int]
) -> None:
    errands.add("slow", 1)
    assert errand.hangs.wait(LONG)
    assert not errands.stop(0.0)
    errands.add("late", 1)
    errand.let_go.set()
    assert errands.stop(LONG)
    assert errand.done == [("slow", 1)]


def test_stopping_what_never_started_is_nothing() -> None:
    assert Errands("test", lambda _key, _value: None).stop(LONG)


def test_a_probe_asks_once_while_its_answer_hangs() -> None:
    let_go, asked = threading.Event(), []

    def ask() -> bool:
        asked.append(1)
        return let_go.wait(LONG)

    probe = Probe("test", ask)
    assert [probe.answer(0.0) for _ in range(5)] == [False] * 5
    assert len(asked) == 1
    let_go.set()
    assert probe.answer(LONG)
    assert probe.answer(LONG)


def test_a_probe_gives_the_last_answer_again_where_asking_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask() -> bool:
        asked.append(1)
        return True

    now = 0.0
    monkeypatch.setattr(probes, "time", SimpleNamespace(monotonic=lambda: now))
    probe = Probe("test", ask, per_second=2)
    assert all(probe.answer(LONG) for _ in range(50))
    assert len(asked) == 2
    now = 1.0
    assert all(probe.answer(LONG) for _ in range(50))
    assert len(asked) == 4


def test_a_yes_holds_until_its_time_is_over_or_somebody_doubts_it_and_a_no_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []
    holds = True

    def ask() -> bool:
        asked.append(holds)
        return holds

    now = 0.0
    monkeypatch.setattr(probes, "time", SimpleNamespace(monotonic=lambda: now))
    probe = Probe("test", ask, yes_holds_seconds=10.0)
    assert all(probe.answer(LONG) for _ in range(50))
    holds, now = False, 9.9
    assert probe.answer(LONG)
    assert asked == [True]
    now = 10.0
    assert not any(probe.answer(LONG) for _ in range(3))
    assert asked == [True, False, False, False]
    holds = True
    assert probe.answer(LONG)
    holds = False
    probe.doubt()
    assert not probe.answer(LONG)


def test_a_probe_that_raises_says_no() -> None:
    def ask() -> bool:
        raise OSError("gone")

    assert not Probe("test", ask).answer(LONG)
