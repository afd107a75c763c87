"""A thread that brings something up to date, from time to time and whenever it is asked to."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

import structlog

log = structlog.get_logger()


class Refreshing(ABC):
    """Refreshes in a thread of its own.

    Args:
        name: name of the thread.
        every_seconds: how often to refresh where nobody asks.
    """

    def __init__(self, name: str, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def request(self) -> None:
        """Ask the thread to refresh soon."""
        self._wake.set()

    @abstractmethod
    def refresh(self) -> None:
        """Bring it up to date now. If the database is down, it stays as it is."""

    def _loop(self) -> None:
        while True:
            self._wake.wait(self._every_seconds)
            self._wake.clear()
            if self._stopping:
                return
            try:
                self.refresh()
            except Exception:
                # The thread must go on: without it, forgotten users would go on counting.
                log.exception("refreshing.failed", thread=self._thread.name)
