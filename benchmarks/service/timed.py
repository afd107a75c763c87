"""Requests that are sent at set times, with the seconds until each answer."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx

from benchmarks.service.installation import Service

NO_ANSWER = "none"
# What runs beside forget requests, and how long it runs alone before them.
ALONE_SECONDS = 10.0
RECOMMENDED_USERS = 8
RECOMMENDATIONS_PER_SECOND = 20.0


@dataclass
class Answers:
    """The status and the seconds of each request. Threads may add to it concurrently."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, client: httpx.Client, method: str, path: str, due: float, **options: Any) -> None:
        """Send a request, and note how long after `due` (`time.monotonic`) the answer came.

        A request that is sent late, because this process was busy, counts from `due` too.
        """
        try:
            status = str(client.request(method, path, **options).status_code)
        except httpx.TransportError:
            status = NO_ANSWER
        self.note(status, time.monotonic() - due)

    def note(self, status: str, seconds: float) -> None:
        """Add one answer."""
        with self._lock:
            self.statuses[status] += 1
            self.seconds.append(seconds)

    def summary(self) -> dict[str, Any]:
        """Counts of statuses, and percentiles of the seconds."""
        statuses = dict(self.statuses.most_common())
        return {"count": len(self.seconds), "statuses": statuses, **percentiles(self.seconds)}


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Measured values, by nearest rank; None where nothing was measured."""
    ordered = sorted(seconds)
    return {
        name: ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    }


@contextmanager
def recommendations(users: Sequence[str], per_second: float, *services: Service) -> Iterator[Answers]:
    """Ask for the users' recommendations in turn, at a steady rate from each service, until the block is left.

    There is one request at a time to each. A late answer makes the next requests late, and their seconds include that
    delay.
    """
    answers, stop = Answers(), threading.Event()

    def ask(service: Service) -> None:
        due = time.monotonic()
        with service.client() as client:
            for user in cycle(users):
                if stop.wait(max(0.0, due - time.monotonic())):
                    return
                answers.send(client, "GET", "/recommend", due, params={"user_id": user})
                due += 1 / per_second

    threads = [threading.Thread(target=ask, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()
