"""Work that nobody waits for and that may hang: it gets a thread of its own, so that it holds up nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Value = TypeVar("Value")
_MOST_WAITING = 10_000


class Errands(Generic[Value]):
    """Does one errand after the other, in the order in which they came.

    An errand with a key that waits or is being done already is left out, and so is one beyond `_MOST_WAITING`: only
    what somebody else makes up for belongs here.

    Args:
        name: of the thread, and in the log.
        work: does one errand; what it raises is logged.
    """

    def __init__(self, name: str, work: Callable[[str, Value], None]) -> None:
        self._name = name
        self._work = work
        self._changed = threading.Condition()
        self._waiting: dict[str, Value] = {}
        self._stopping = False
        # A daemon: an errand that hangs does not keep the process alive.
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, key: str, value: Value) -> None:
        """Have it done; returns at once."""
        with self._changed:
            full = len(self._waiting) >= _MOST_WAITING
            if not full and not self._stopping:
                self._waiting.setdefault(key, value)
                self._changed.notify_all()
        if full:
            log.error("errand.left_out", errands=self._name)

    def stop(self, seconds: float) -> bool:
        """Take no more, and give what waits so many seconds; whether all of it was done."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                key, value = next(iter(self._waiting.items()))
            try:
                self._work(key, value)
            except Exception as error:  # noqa: BLE001  (the thread must live on, whatever a driver raises)
                log.error("errand.failed", errands=self._name, error=type(error).__name__)
            # Only now: whoever adds the same while it is being done adds nothing.
            with self._changed:
                del self._waiting[key]
