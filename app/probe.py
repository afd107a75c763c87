"""Asking something that may hang, without hanging."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Probe:
    """Asks a question in a thread of its own, one at a time, however many want to know.

    Args:
        name: of what is asked, in the log.
        ask: the question; raising is a no.
    """

    def __init__(self, name: str, ask: Callable[[], bool]) -> None:
        self._name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._asking: _Asking | None = None

    def answer(self, seconds: float) -> bool:
        """The answer; False where it does not come within so many seconds."""
        with self._lock:
            if self._asking is None or self._asking.answered.is_set():
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

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except Exception as error:  # noqa: BLE001  (a probe says no, whatever a driver raises)
            log.error("probe.failed", asked=self._name, error=type(error).__name__)
        finally:
            self.answered.set()
