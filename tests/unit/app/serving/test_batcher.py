"""The micro-batcher: work-conserving, bounded, one pin per batch, one failure per batch, and a clean end."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.serving import DeadlineExceeded, Draining, InferenceFailed, QueueFull
from app.serving.batcher import MicroBatcher
from app.serving.metrics import ServingMetrics

PATIENCE = 30.0


class Version:
    """Something a batch pins."""

    def __init__(self, name: str) -> None:
        self.name = name


class Rig:
    """A batcher whose batches stop at a gate, so that a test decides what is queued while one runs."""

    def __init__(self, *, token_budget: int = 100, max_queue: int = 50) -> None:
        self.registry = CollectorRegistry()
        self.version: Version | None = Version("v1")
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.now = 0.0
        self.batcher: MicroBatcher[Version | None, int, tuple[str, int]] = MicroBatcher(
            lambda: self.version,
            self.score,
            token_budget=token_budget,
            max_queue=max_queue,
            metrics=ServingMetrics(self.registry),
            clock=lambda: self.now,
        )
        self.callers = ThreadPoolExecutor(max_workers=40)

    def score(self, version: Version | None, requests: Sequence[int]) -> list[tuple[str, int]]:
        assert version is not None
        self.batches.append(list(requests))
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        if any(request < 0 for request in requests):
            raise ZeroDivisionError
        return [(version.name, request * 10) for request in requests]

    def call(self, request: int, *, tokens: int = 1, timeout: float = PATIENCE) -> "Future[tuple[str, int]]":
        return self.callers.submit(call, self.batcher, request, tokens=tokens, timeout=timeout)

    def occupy(self, request: int) -> "Future[tuple[str, int]]":
        """Start a batch that stays at the gate."""
        self.gate.clear()
        running = self.call(request)
        assert self.entered.acquire(timeout=PATIENCE)
        return running

    def queue(
        self, *requests: int, tokens: Callable[[int], int] = lambda _: 1
    ) -> "list[Future[tuple[str, int]]]":
        """Line requests up in this very order."""
        futures = []
        for request in requests:
            before = self.batcher.queue_depth()
            futures.append(self.call(request, tokens=tokens(request)))
            wait_until(lambda before=before: self.batcher.queue_depth() == before + 1)
        return futures

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"lethe_serving_{name}", labels)


def call(batcher: Any, request: Any, *, tokens: int = 1, timeout: float = PATIENCE) -> Any:
    return batcher.wait(batcher.submit(request, tokens=tokens, timeout_seconds=timeout))


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE * 200)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("never came about")


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    rig.batcher.start()
    yield rig
    rig.gate.set()
    rig.batcher.stop(PATIENCE)
    rig.callers.shutdown()


def test_a_lone_request_is_a_batch_of_its_own(rig: Rig) -> None:
    assert rig.call(4).result(PATIENCE) == ("v1", 40)
    assert rig.batches == [[4]]


def test_what_queued_while_busy_is_the_next_batch_in_order(rig: Rig) -> None:
    running = rig.occupy(0)
    waiting = rig.queue(1, 2, 3)
    assert rig.value("queue_depth") == 3
    rig.gate.set()
    assert [future.result(PATIENCE) for future in waiting] == [("v1", 10), ("v1", 20), ("v1", 30)]
    assert running.result(PATIENCE) == ("v1", 0)
    assert rig.batches == [[0], [1, 2, 3]]
    assert rig.value("batch_requests_sum") == 4
    assert rig.value("queue_depth") == 0


def test_the_token_budget_counts_padding_and_a_larger_request_runs_alone(rig: Rig) -> None:
    rig.occupy(0)
    # Budget 100: 1 and 2 pad to 2 x 50; 3 would make it 150. 4 alone exceeds it. 5 must not overtake.
    length = {1: 30, 2: 50, 3: 50, 4: 101, 5: 1}
    waiting = rig.queue(1, 2, 3, 4, 5, tokens=length.__getitem__)
    rig.gate.set()
    for future in waiting:
        future.result(PATIENCE)
    assert rig.batches == [[0], [1, 2], [3], [4], [5]]


def test_a_batch_is_pinned_when_it_starts_and_keeps_its_version(rig: Rig) -> None:
    running = rig.occupy(0)
    waiting = rig.queue(1)
    rig.version = Version("v2")
    rig.gate.set()
    assert running.result(PATIENCE) == ("v1", 0)
    assert waiting[0].result(PATIENCE) == ("v2", 10)


def test_nothing_pinned_is_kept_once_its_batch_is_over(rig: Rig) -> None:
    rig.call(1).result(PATIENCE)
    with pytest.raises(InferenceFailed):
        rig.call(-1).result(PATIENCE)
    assert rig.version is not None
    pinned = weakref.ref(rig.version)
    gc.disable()
    try:
        rig.version = None
        # The thread may still be on its way out of the last batch.
        wait_until(lambda: pinned() is None)
    finally:
        gc.enable()


def test_nothing_asked_is_kept_once_it_is_answered() -> None:
    """An idle thread must not hold the history of the last user who asked."""
    batcher: MicroBatcher[None, Version, str] = MicroBatcher(
        lambda: None,
        lambda _, requests: [request.name for request in requests],
        token_budget=10,
        max_queue=10,
        metrics=ServingMetrics(CollectorRegistry()),
    )
    batcher.start()
    history = Version("hers")
    kept = weakref.ref(history)
    assert call(batcher, history) == "hers"
    gc.disable()
    try:
        del history
        wait_until(lambda: kept() is None)
    finally:
        gc.enable()
    assert batcher.stop(PATIENCE)


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    rig = Rig(max_queue=2)
    rig.batcher.start()
    rig.occupy(0)
    waiting = rig.queue(1, 2)
    with pytest.raises(QueueFull) as refusal:
        call(rig.batcher, 3)
    assert refusal.value.retry_after_seconds >= 1
    assert rig.value("rejected_total", reason="queue_full") == 1
    rig.gate.set()
    assert [future.result(PATIENCE)[1] for future in waiting] == [10, 20]
    assert rig.batcher.stop(PATIENCE)
    rig.callers.shutdown()


def test_a_failing_batch_fails_only_its_own_requests(rig: Rig) -> None:
    rig.occupy(0)
    doomed = rig.queue(-1, 2)
    rig.gate.set()
    for future in doomed:
        with pytest.raises(InferenceFailed):
            future.result(PATIENCE)
    assert rig.call(3).result(PATIENCE) == ("v1", 30)
    assert rig.value("batch_failures_total") == 1


def test_a_missing_result_is_a_failure_and_not_someone_elses_answer() -> None:
    batcher: MicroBatcher[None, int, int] = MicroBatcher(
        lambda: None,
        lambda _, requests: list(requests)[1:],
        token_budget=10,
        max_queue=10,
        metrics=ServingMetrics(CollectorRegistry()),
    )
    batcher.start()
    with pytest.raises(InferenceFailed):
        call(batcher, 1)
    assert batcher.stop(PATIENCE)


def test_a_caller_that_gave_up_costs_no_inference(rig: Rig) -> None:
    rig.occupy(0)
    with pytest.raises(DeadlineExceeded) as refusal:
        call(rig.batcher, 1, timeout=0.01)
    assert refusal.value.retry_after_seconds >= 1
    later = rig.queue(2)
    rig.gate.set()
    assert later[0].result(PATIENCE) == ("v1", 20)
    assert rig.batches == [[0], [2]]
    assert rig.value("rejected_total", reason="deadline_exceeded") == 1


def test_a_request_whose_time_is_over_when_its_turn_comes_is_refused(rig: Rig) -> None:
    rig.occupy(0)
    expired = rig.queue(1)
    rig.now = 10 * PATIENCE
    in_time = rig.queue(2)
    rig.gate.set()
    with pytest.raises(DeadlineExceeded):
        expired[0].result(PATIENCE)
    assert in_time[0].result(PATIENCE) == ("v1", 20)
    assert rig.batches == [[0], [2]]


def test_stop_answers_what_is_queued_and_takes_nothing_new(rig: Rig) -> None:
    running = rig.occupy(0)
    waiting = rig.queue(1, 2, 3)
    stopped = rig.callers.submit(rig.batcher.stop, PATIENCE)
    wait_until(lambda: refuses(rig.batcher))
    rig.gate.set()
    assert stopped.result(PATIENCE)
    assert [future.result(PATIENCE)[1] for future in [running, *waiting]] == [0, 10, 20, 30]


def refuses(batcher: "MicroBatcher[Version | None, int, tuple[str, int]]") -> bool:
    try:
        call(batcher, 9, timeout=0.001)
    except Draining:
        return True
    except DeadlineExceeded:
        return False
    raise AssertionError("answered although the gate is closed")


def test_what_cannot_be_drained_in_time_is_refused_and_nobody_hangs(rig: Rig) -> None:
    running = rig.occupy(0)
    waiting = rig.queue(1, 2)
    assert not rig.batcher.stop(0.01)
    for future in waiting:
        with pytest.raises(Draining):
            future.result(PATIENCE)
    rig.gate.set()
    assert running.result(PATIENCE) == ("v1", 0)


def test_stopping_what_never_started_is_clean() -> None:
    rig = Rig()
    assert rig.batcher.stop(PATIENCE)
    with pytest.raises(Draining):
        call(rig.batcher, 1)
    rig.callers.shutdown()


def test_many_callers_each_get_their_own_answer(rig: Rig) -> None:
    futures = {request: rig.call(request) for request in range(400)}
    assert all(future.result(PATIENCE) == ("v1", request * 10) for request, future in futures.items())
    assert sorted(request for batch in rig.batches for request in batch) == list(range(400))
    assert all(len(batch) <= 100 for batch in rig.batches)


async def soon(batcher: Any, request: Any, *, seconds: float = PATIENCE) -> Any:
    return await batcher.answer(batcher.submit(request, tokens=1, timeout_seconds=seconds))


def test_an_event_loop_waits_for_many_and_blocks_no_thread_of_its_own(rig: Rig) -> None:
    async def ask() -> list[tuple[str, int]]:
        rig.gate.clear()
        asked = [asyncio.create_task(soon(rig.batcher, request)) for request in range(1, 6)]
        await asyncio.sleep(0)
        # The loop still turns while the batch is at the gate.
        rig.gate.set()
        return await asyncio.gather(*asked)

    assert [value for _, value in asyncio.run(ask())] == [10, 20, 30, 40, 50]


def test_an_event_loop_gives_up_at_the_deadline_and_leaves_the_queue(rig: Rig) -> None:
    rig.occupy(0)
    with pytest.raises(DeadlineExceeded) as late:
        asyncio.run(soon(rig.batcher, 7, seconds=0.01))
    assert late.value.retry_after_seconds >= 1
    rig.gate.set()
    assert rig.call(3).result(PATIENCE) == ("v1", 30)
    assert all(7 not in batch for batch in rig.batches)


def test_an_event_loop_that_waits_is_told_that_the_engine_stops(rig: Rig) -> None:
    rig.occupy(0)

    async def ask() -> None:
        asked = asyncio.create_task(soon(rig.batcher, 7))
        await asyncio.sleep(0)
        assert not rig.batcher.stop(0.01)
        with pytest.raises(Draining):
            await asked

    asyncio.run(ask())
    rig.gate.set()
