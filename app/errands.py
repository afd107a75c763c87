"""Background work that may hang. It gets a thread of its own, so that it delays nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Value = TypeVar("Value")
_MOST_WAITING = 10_000


class Errands(Generic[Value]):
    """Does one errand after another, in the order in which they were added.

    An errand is dropped if one with the same key waits or is being done, or if `_MOST_WAITING` errands wait. So an
    errand must be something that another process makes up for.

    Args:
        name: name of the thread, also used in the log.
        work: does one errand; its exceptions are logged.
    """

    def __init__(self, name: str, work: Callable[[str, Value], None]) -> None:
        self._name = name
        self._work = work
        self._changed = threading.Condition()
        self._waiting: dict[str, Value] = {}
        self._stopping = False
        # A daemon thread, so that a hanging errand does not keep the process alive.
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, key: str, value: Value) -> None:
        """Add an errand. Returns at once."""
        with self._changed:
            full = len(self._waiting) >= _MOST_WAITING
            if not full and not self._stopping:
                self._waiting.setdefault(key, value)
                self._changed.notify_all()
        if full:
            log.error("errand.left_out", errands=self._name)

    def stop(self, seconds: float) -> bool:
        """Accept no more errands, and wait for the others. Returns whether all were done within these seconds."""
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
            except Exception as error:  # noqa: BLE001  (the thread must go on after any failure)
                log.error("errand.failed", errands=self._name, error=type(error).__name__)
            # Remove the errand only now, so that the same one is not added while it is being done.
            with self._changed:
                del self._waiting[key]
