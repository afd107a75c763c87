"""A steady load of recommendation requests while something else is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from threading import Event

import httpx

from benchmarks.service.installation import Service

VERSION_HEADER = "Lethe-Version"


@dataclass
class Tally:
    """What the load saw.

    Args:
        answers: number of all requests.
        non_200: requests that were answered with another status than 200, or not at all.
        mixed: answers whose header and body name two different versions.
        fallbacks: answers that were not personalised, although nobody asked to forget the user.
    """

    answers: int = 0
    non_200: int = 0
    mixed: int = 0
    fallbacks: int = 0

    def count(self, response: httpx.Response | None) -> None:
        """Count one response. None stands for a broken connection."""
        self.answers += 1
        if response is None or response.status_code != 200:
            self.non_200 += 1
            return
        body = response.json()
        self.mixed += response.headers.get(VERSION_HEADER) != body["version"]
        self.fallbacks += not body["personalised"]


@contextmanager
def steady_load(service: Service, users: Sequence[str], per_second: float) -> Iterator[Tally]:
    """Ask for the users' recommendations in turn until the block is left.

    There is one request at a time. If an answer takes longer than the rate allows, the next request follows at once,
    and missed requests are not made up for.
    """
    tally, stop = Tally(), Event()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(_ask, service, users, 1 / per_second, tally, stop)
        try:
            yield tally
        finally:
            stop.set()
        asking.result()


def _ask(service: Service, users: Sequence[str], interval: float, tally: Tally, stop: Event) -> None:
    due = time.monotonic()
    with service.client() as client:
        for user in cycle(users):
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            try:
                tally.count(client.get("/recommend", params={"user_id": user}))
            except httpx.TransportError:
                tally.count(None)
            due = max(due + interval, time.monotonic())
