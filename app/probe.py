"""Asking something that may hang, without hanging."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Probe:
    """Asks a question in a thread of its own, one at a time, however many want to know.

    Args:
        name: of what is asked, in the log.
        ask: the question; raising is a no.
        good_for_seconds: an answer is given again for so long: anybody may ask, without a key and without a pause.
    """

    def __init__(self, name: str, ask: Callable[[], bool], *, good_for_seconds: float = 0.0) -> None:
        self._name = name
        self._ask = ask
        self._good_for_seconds = good_for_seconds
        self._lock = threading.Lock()
        self._asking: _Asking | None = None

    def answer(self, seconds: float) -> bool:
        """The answer; False where it does not come within so many seconds."""
        with self._lock:
            if self._asking is None or self._asking.is_older_than(self._good_for_seconds):
                self._asking = _Asking(self._name, self._ask)
                threading.Thread(target=self._asking.run, name=f"probe-{self._name}", daemon=True).start()
            asking = self._asking
        return asking.answered.wait(seconds) and asking.answer


class _Asking:
    def __init__(self, name: str, ask: Callable[[], bool]) -> None:
        self._name = name
        self._ask = ask
        self.answer = False
        self.answered = threading.Event()
        self._answered_at = 0.0

    def is_older_than(self, seconds: float) -> bool:
        """Whether it was answered, and that long ago."""
        return self.answered.is_set() and time.monotonic() - self._answered_at >= seconds

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except Exception as error:  # noqa: BLE001  (a probe says no, whatever a driver raises)
            log.error("probe.failed", asked=self._name, error=type(error).__name__)
        finally:
            self._answered_at = time.monotonic()
            self.answered.set()
