"""Checks a service that may hang, without hanging itself."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Probe:
    """Runs a check in a thread of its own, one at a time, however many callers want the answer.

    Args:
        name: name of the checked service, for the log.
        ask: the check; an exception counts as False.
        per_second: how often the check may run. Beyond that, callers get the last answer again. Anybody may cause
            checks, without a key and without a pause.
        yes_holds_seconds: for how long True is not checked again, unless `doubt` is called. False is always checked
            again.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], bool],
        *,
        per_second: int | None = None,
        yes_holds_seconds: float = 0.0,
    ) -> None:
        self._name = name
        self._ask = ask
        self._yes_holds_seconds = yes_holds_seconds
        self._yes_until = 0.0
        self._asked_at: deque[float] = deque(maxlen=per_second)
        self._lock = threading.Lock()
        self._asking: _Asking | None = None

    def answer(self, seconds: float) -> bool:
        """The answer; False if it does not come within so many seconds."""
        with self._lock:
            if self._asking is None or (self._asking.answered.is_set() and self._may_ask()):
                if self._asked_at.maxlen is not None:
                    self._asked_at.append(time.monotonic())
                self._asking = _Asking(self._name, self._ask)
                threading.Thread(target=self._asking.run, name=f"probe-{self._name}", daemon=True).start()
                self._yes_until = time.monotonic() + self._yes_holds_seconds
            asking = self._asking
        return asking.answered.wait(seconds) and asking.answer

    def doubt(self) -> None:
        """Check again at the next question, because the caller has seen the service fail."""
        self._yes_until = 0.0

    def _may_ask(self) -> bool:
        assert self._asking is not None
        if self._asking.answer and time.monotonic() < self._yes_until:
            return False
        asked = self._asked_at
        return asked.maxlen is None or len(asked) < asked.maxlen or time.monotonic() - asked[0] >= 1.0


class _Asking:
    def __init__(self, name: str, ask: Callable[[], bool]) -> None:
        self._name = name
        self._ask = ask
        self.answer = False
        self.answered = threading.Event()

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except Exception as error:  # noqa: BLE001  (any exception counts as False)
            log.error("probe.failed", asked=self._name, error=type(error).__name__)
        finally:
            self.answered.set()
