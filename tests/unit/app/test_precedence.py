"""Turns at the ledger among the threads of one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from app.db.errors import DatabaseUnavailable
from app.db.precedence import FairLock, Precedence

LONG = 30.0


def in_line(lock: FairLock) -> int:
    return len(lock._line)


def wait_for_line(lock: FairLock, length: int) -> None:
    deadline = time.monotonic() + LONG
    while in_line(lock) != length:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_the_lock_goes_to_whoever_waits_longest() -> None:
    lock, order = FairLock(), []

    def take(number: int) -> None:
        with lock.held(LONG):
            order.append(number)

    threads = []
    with lock.held(LONG):
        for number in range(8):
            threads.append(in_thread(lambda number=number: take(number)))  # type: ignore[misc]
            wait_for_line(lock, number + 2)
    for thread in threads:
        thread.join(LONG)
    assert order == list(range(8))


def test_whoever_gives_up_waiting_stands_in_nobodys_way() -> None:
    lock = FairLock()
    with lock.held(LONG):
        with pytest.raises(DatabaseUnavailable), lock.held(0.01):
            raise AssertionError("taken twice")
        assert in_line(lock) == 1
    with lock.held(0.0):
        pass


def test_an_error_gives_the_lock_back() -> None:
    lock = FairLock()
    with pytest.raises(KeyError), lock.held(LONG):
        raise KeyError
    with lock.held(0.0):
        pass


@pytest.mark.parametrize("pause", [True, False])
def test_a_forget_waits_for_one_slice_however_many_import(pause: bool) -> None:
    precedence, order = Precedence(LONG), []
    storing, stored = threading.Event(), threading.Event()

    def import_(number: int) -> None:
        for _ in range(3):
            with precedence.import_turn(pause=pause):
                order.append("slice")
                if number == 0 and not storing.is_set():
                    storing.set()
                    assert stored.wait(LONG)

    def forget() -> None:
        with precedence.turn():
            order.append("forget")

    threads = [in_thread(lambda: import_(0))]
    assert storing.wait(LONG)
    threads += [in_thread(lambda number=number: import_(number)) for number in range(1, 8)]  # type: ignore[misc]
    wait_for_line(precedence._imports, 8)
    threads.append(in_thread(forget))
    wait_for_line(precedence._ledger, 2)
    stored.set()
    for thread in threads:
        thread.join(LONG)
    assert order[:2] == ["slice", "forget"]
    assert order.count("slice") == 24
