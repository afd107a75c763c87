"""Limits failed log-ins, by address and in all, so that guesses cost the database and the log little."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

PER_ADDRESS = 10
IN_ALL = 200
SECONDS = 60.0


class LogInLimit:
    """Counts the failures of the last minute. It is kept in memory: each gateway has its own.

    A key has 256 random bits, so no limit is needed against guessing it. The limit in all is far above the one by
    address, so that one stranger cannot lock everybody out.

    Args:
        clock: a clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: deque[tuple[float, str]] = deque(maxlen=IN_ALL)

    def seconds_to_wait(self, address: str) -> int:
        """How long this address must wait before its next try; 0 if it may try now."""
        with self._lock:
            now = self._clock()
            while self._failures and self._failures[0][0] <= now - SECONDS:
                self._failures.popleft()
            own = [failed_at for failed_at, of in self._failures if of == address]
            waits = []
            if len(own) >= PER_ADDRESS:
                waits.append(own[-PER_ADDRESS])
            if len(self._failures) == IN_ALL:
                waits.append(self._failures[0][0])
            return max((int(SECONDS - (now - since)) + 1 for since in waits), default=0)

    def failed(self, address: str) -> None:
        with self._lock:
            self._failures.append((self._clock(), address))
