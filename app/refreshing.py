"""A thread that brings something up to date, from time to time and whenever it is asked to."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

import structlog

log = structlog.get_logger()


# After a refresh the thread rests for so many times as long as it took, and at most for its period. A refresh may read
# all events, and must not be all that a thread does, however often it is asked to.
_RESTS = 49.0


class Refreshing(ABC):
    """Refreshes in a thread of its own.

    Args:
        name: name of the thread.
        every_seconds: how often to refresh where nobody asks.
    """

    def __init__(self, name: str, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def request(self) -> None:
        """Ask the thread to refresh soon: at once, or when it has rested."""
        self._wake.set()

    @abstractmethod
    def refresh(self) -> None:
        """Bring it up to date now. If the database is down, it stays as it is."""

    def _loop(self) -> None:
        rested = 0.0
        while True:
            self._wake.wait(self._every_seconds - rested)
            self._wake.clear()
            if self._stopping.is_set():
                return
            began = time.monotonic()
            try:
                self.refresh()
            except Exception:
                # The thread must go on: without it, forgotten users would go on counting.
                log.exception("refreshing.failed", thread=self._thread.name)
            rested = min(_RESTS * (time.monotonic() - began), self._every_seconds)
            self._stopping.wait(rested)
