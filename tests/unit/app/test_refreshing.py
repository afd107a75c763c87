"""A thread that refreshes when asked to, and however often it is asked, leaves most of the time to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from app.refreshing import Refreshing

AN_HOUR = 3600.0
TAKES = 0.01


class Slow(Refreshing):
    """Each refresh takes a while, as a query that reads all events does."""

    def __init__(self, every_seconds: float = AN_HOUR) -> None:
        super().__init__("slow", every_seconds)
        self.spans: list[tuple[float, float]] = []
        self.done = threading.Semaphore(0)

    def refresh(self) -> None:
        began = time.monotonic()
        threading.Event().wait(TAKES)
        self.spans.append((began, time.monotonic()))
        self.done.release()
        if len(self.spans) == 3:
            raise ValueError("once")


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    made.start()
    yield made
    made.stop()


def test_whoever_asks_without_end_gets_a_fiftieth_of_the_time(slow: Slow) -> None:
    assert slow.done.acquire(timeout=60)
    while len(slow.spans) < 5:
        slow.request()
        slow.done.acquire(timeout=0.001)
    # The first one was made by the caller of `start`, and the first request is answered at once. One failed.
    for (began, ended), (next_began, _) in zip(slow.spans[1:], slow.spans[2:], strict=False):
        assert next_began - ended >= 40 * (ended - began)


def test_a_request_that_came_while_it_rested_is_not_lost(slow: Slow) -> None:
    assert slow.done.acquire(timeout=60)
    for _ in range(3):
        slow.request()
        assert slow.done.acquire(timeout=60)


def test_it_can_be_stopped_while_it_rests(slow: Slow) -> None:
    slow.request()
    assert slow.done.acquire(timeout=60)
    assert slow.done.acquire(timeout=60)
    slow.stop()
    assert len(slow.spans) == 2
