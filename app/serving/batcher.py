"""A work-conserving micro-batcher: one inference thread, no timer.

A single request never waits. The requests that arrive while the thread is busy form the next batch. Source: our own
design. There is no collection window, because its delay would only slow down a single caller.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from app.serving.errors import DeadlineExceeded, Draining, InferenceFailed, QueueFull
from app.serving.metrics import ServingMetrics

Pinned = TypeVar("Pinned")
Request = TypeVar("Request")
Result = TypeVar("Result")

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass
class Waiting(Generic[Request, Result]):
    """A request in the queue or in a batch. ``deadline`` is a time of the batcher's clock."""

    request: Request
    tokens: int
    deadline: float
    future: concurrent.futures.Future[Result] = field(default_factory=concurrent.futures.Future)
    # Where an event loop waits for it: the loop, and what it waits for.
    told: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None


class MicroBatcher(Generic[Pinned, Request, Result]):
    """Runs requests of many threads through one function on one thread, first come, first served.

    Args:
        pin: called once per batch. Its result is used for this batch only.
        score: answers a batch, one result per request in order. Runs on the inference thread only.
        token_budget: most tokens of one batch, padding included. A larger request runs in a batch of its own.
        max_queue: requests that may wait.
    """

    def __init__(
        self,
        pin: Callable[[], Pinned],
        score: Callable[[Pinned, Sequence[Request]], Sequence[Result]],
        *,
        token_budget: int,
        max_queue: int,
        metrics: ServingMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pin = pin
        self._score = score
        self._token_budget = token_budget
        self._max_queue = max_queue
        self._metrics = metrics
        self._clock = clock
        self._wake = threading.Condition()
        self._queue: deque[Waiting[Request, Result]] = deque()
        self._closed = False
        self._idle = False
        self._batch_seconds = 0.0
        self._thread = threading.Thread(target=self._loop, name="lethe-inference", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, drain_seconds: float) -> bool:
        """Accept no new request, answer those that wait, and end the thread.

        Returns:
            Whether all requests were answered in time. The others are refused with `Draining`.
        """
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(drain_seconds)
        with self._wake:
            abandoned = list(self._queue)
            self._queue.clear()
        for waiting in abandoned:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_exception(Draining())
        self._tell(abandoned)
        return not abandoned and not self._thread.is_alive()

    def submit(self, request: Request, *, tokens: int, timeout_seconds: float) -> Waiting[Request, Result]:
        """Put a request into the queue; returns at once. Wait for its answer with `wait` or `answer`.

        Raises:
            QueueFull: too many requests wait.
            Draining: `stop` was called.
        """
        waiting: Waiting[Request, Result] = Waiting(request, tokens, self._clock() + timeout_seconds)
        with self._wake:
            if self._closed:
                raise Draining
            if len(self._queue) >= self._max_queue:
                self._metrics.rejected.labels(QueueFull.code).inc()
                raise QueueFull(self._retry_after_seconds())
            self._queue.append(waiting)
            self._metrics.queue_depth.set(len(self._queue))
            if self._idle:
                self._wake.notify()
        return waiting

    def wait(self, waiting: Waiting[Request, Result]) -> Result:
        """The answer to a submitted request; blocks the calling thread.

        Raises:
            DeadlineExceeded: no answer by the deadline.
            Draining: `stop` was called.
            InferenceFailed: the batch raised.
        """
        try:
            return waiting.future.result(self._left(waiting))
        except (TimeoutError, DeadlineExceeded):
            raise self._too_late(waiting) from None

    async def answer(self, waiting: Waiting[Request, Result]) -> Result:
        """Like `wait`, for the event loop, which goes on meanwhile. Whoever is cancelled leaves the queue."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        with self._wake:
            if not waiting.future.done():
                waiting.told = (loop, told)
        if waiting.told is not None:
            timer = loop.call_later(self._left(waiting), _wake_up, [told])
            try:
                await told
            except asyncio.CancelledError:
                waiting.future.cancel()
                raise
            finally:
                timer.cancel()
        try:
            return waiting.future.result(0)
        except (TimeoutError, DeadlineExceeded):
            raise self._too_late(waiting) from None

    def _left(self, waiting: Waiting[Request, Result]) -> float:
        return max(0.0, waiting.deadline - self._clock())

    def _too_late(self, waiting: Waiting[Request, Result]) -> DeadlineExceeded:
        waiting.future.cancel()
        self._metrics.rejected.labels(DeadlineExceeded.code).inc()
        with self._wake:
            return DeadlineExceeded(self._retry_after_seconds())

    def queue_depth(self) -> int:
        with self._wake:
            return len(self._queue)

    def _retry_after_seconds(self) -> int:
        batches = 1 + sum(waiting.tokens for waiting in self._queue) / self._token_budget
        return max(1, math.ceil(batches * self._batch_seconds))

    def _loop(self) -> None:
        while True:
            batch = self._take()
            if not batch:
                return
            self._run(batch)
            # Do not keep this batch's histories and answers in memory while waiting for the next batch.
            del batch

    def _take(self) -> list[Waiting[Request, Result]]:
        """Wait for requests and take as many as fit into the token budget. Empty only when closed and drained."""
        batch: list[Waiting[Request, Result]] = []
        longest = 0
        with self._wake:
            while not batch:
                while not self._queue and not self._closed:
                    self._idle = True
                    self._wake.wait()
                self._idle = False
                if not self._queue:
                    return batch
                now = self._clock()
                while self._queue:
                    padded = max(longest, self._queue[0].tokens)
                    if batch and padded * (len(batch) + 1) > self._token_budget:
                        break
                    waiting = self._queue.popleft()
                    # Skip a request whose caller has given up.
                    if not waiting.future.set_running_or_notify_cancel():
                        continue
                    if waiting.deadline < now:
                        waiting.future.set_exception(DeadlineExceeded())
                        continue
                    batch.append(waiting)
                    longest = padded
            self._metrics.queue_depth.set(len(self._queue))
        self._metrics.batch_requests.observe(len(batch))
        self._metrics.batch_tokens.observe(longest * len(batch))
        return batch

    def _run(self, batch: list[Waiting[Request, Result]]) -> None:
        started = self._clock()
        try:
            pinned = self._pin()
            results = self._score(pinned, [waiting.request for waiting in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} requests, {len(results)} results")
        except Exception as error:  # noqa: BLE001 - one batch may fail in any way, the thread goes on
            self._metrics.batch_failures.inc()
            # Log the type only: the message may quote an input.
            _log.error("serving.batch.failed", error=type(error).__name__, requests=len(batch))
            # New exceptions without a cause: a traceback would keep the pinned version in memory.
            for waiting in batch:
                waiting.future.set_exception(InferenceFailed())
        else:
            for waiting, result in zip(batch, results, strict=True):
                waiting.future.set_result(result)
        self._tell(batch)
        seconds = self._clock() - started
        self._metrics.batch_seconds.observe(seconds)
        with self._wake:
            self._batch_seconds = (
                seconds if self._batch_seconds == 0 else 0.8 * self._batch_seconds + 0.2 * seconds
            )

    def _tell(self, answered: Sequence[Waiting[Request, Result]]) -> None:
        """Wake the event loops that wait for these, each once: for every answer alone it would take turns with us."""
        with self._wake:
            told = [waiting.told for waiting in answered if waiting.told is not None]
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for loop, future in told:
            by_loop.setdefault(loop, []).append(future)
        for loop, futures in by_loop.items():
            # A loop that has ended waits for nothing.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_wake_up, futures)


def _wake_up(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
