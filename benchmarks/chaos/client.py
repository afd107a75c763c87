"""The client of an installation under attack. It records its questions, the answers and their times."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks.service.errors import ServiceUnmeasurable

_ACCEPT_SECONDS = 60.0
_BETWEEN_QUESTIONS_SECONDS = 0.03


@dataclass(frozen=True)
class Accepted:
    """A 202 (or the 200 of a repeated request), as the client got it. Seconds are of the client's own clock."""

    user: str
    at: float
    location: str
    due_at: str
    epoch: int


@dataclass(frozen=True)
class Answer:
    """A gateway's recommendation. ``header`` and ``body`` are the versions that these parts of the answer name."""

    user: str
    asked: float
    answered: float
    status: int
    personalised: bool
    header: str | None
    body: str | None


@dataclass
class Log:
    """Everything the client knows of one run."""

    accepted: list[Accepted] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    late_events_stored: int = 0


class Client:
    """Asks all gateways for its users' recommendations in turn, until it is closed. Sends forget requests on demand."""

    def __init__(self, urls: Sequence[str], key: str, users: Sequence[str], items: Sequence[str]) -> None:
        """
        Args:
            urls: of the gateways.
            key: an API key with every scope.
            users: the users whose recommendations it asks for.
            items: item ids of the catalogue.
        """
        self.log = Log()
        self._urls, self._users, self._items = list(urls), list(users), list(items)
        self._headers = {"Authorization": f"Bearer {key}"}
        # One client for all calls but the recommendations, because creating a client reads certificates. Each call uses
        # a new connection.
        once = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(headers=self._headers, timeout=10, limits=once)
        self._closed = threading.Event()
        self._asking = [threading.Thread(target=self._ask, args=(url,), daemon=True) for url in self._urls]
        for thread in self._asking:
            thread.start()

    def forget(self, user: str) -> Accepted:
        """Send a forget request to the gateways in turn until one of them accepts it.

        Raises:
            ServiceUnmeasurable: no gateway accepted it in time.
        """
        deadline = time.monotonic() + _ACCEPT_SECONDS
        for url in cycle(self._urls):
            try:
                answer = self._http.post(f"{url}/users/{quote(user, safe='')}/forget")
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in (200, 202):
                body = answer.json()
                accepted = Accepted(
                    user,
                    time.monotonic(),
                    answer.headers["Location"],
                    body["due_at"],
                    body["suppression_epoch"],
                )
                self.log.accepted.append(accepted)
                return accepted
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        raise ServiceUnmeasurable(f"no forget request was accepted within {_ACCEPT_SECONDS:.0f} seconds")

    def forget_many_times(self, user: str, times: int) -> None:
        """Send the same forget request `times` times in parallel."""
        posts = [threading.Thread(target=self.forget, args=(user,)) for _ in range(times)]
        for post in posts:
            post.start()
        for post in posts:
            post.join()

    def bring_event(self, user: str) -> None:
        """Send a late event of a user who has been forgotten, as another system might."""
        event = {"user_id": user, "item_id": self._items[0], "timestamp": 1}
        for url in self._urls:
            try:
                answer = self._http.post(f"{url}/interactions", json={"interactions": [event]})
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                self.log.late_events_stored += answer.json()["stored"]

    def get(self, path: str) -> dict[str, Any] | None:
        """The answer of the first gateway that gives one; None if none does."""
        for url in self._urls:
            try:
                answer = self._http.get(f"{url}{path}", timeout=5)
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                body: dict[str, Any] = answer.json()
                return body
        return None

    def close(self) -> None:
        self._closed.set()
        for thread in self._asking:
            thread.join()
        self._http.close()

    def _ask(self, url: str) -> None:
        with httpx.Client(base_url=url, headers=self._headers, timeout=5) as client:
            for user in cycle(self._users):
                if self._closed.wait(_BETWEEN_QUESTIONS_SECONDS):
                    return
                asked = time.monotonic()
                try:
                    answer = client.get("/recommend", params={"user_id": user})
                except httpx.TransportError:
                    continue
                body = answer.json() if answer.status_code == 200 else {}
                self.log.answers.append(
                    Answer(
                        user,
                        asked,
                        time.monotonic(),
                        answer.status_code,
                        bool(body.get("personalised")),
                        answer.headers.get("Lethe-Version"),
                        body.get("version"),
                    )
                )
