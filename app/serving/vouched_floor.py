"""The erasure floor in the store. The database's row can be edited by hand; a record in the store cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from model_store import Store

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class VouchedFloor:
    """Reads the floor at intervals, in a thread of its own, so that a store that hangs delays nobody.

    The highest floor that was read stays in force. It is for versions that are in memory already: loading a version
    checks the store's floor in any case (`read_version`).

    Args:
        on_raise: called when the floor has risen; must return at once.
    """

    def __init__(self, store: Store, *, interval_seconds: float, on_raise: Callable[[], None]) -> None:
        self._store = store
        self._interval_seconds = interval_seconds
        self._on_raise = on_raise
        self._floor = 0
        self._readable = True
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="lethe-floor", daemon=True)

    @property
    def floor(self) -> int:
        """The highest floor that was read; 0 before the first read."""
        return self._floor

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _loop(self) -> None:
        while not self._closed.is_set():
            self._look()
            self._closed.wait(self._interval_seconds)

    def _look(self) -> None:
        try:
            floor = self._store.erasure_floor()
        except Exception as error:  # noqa: BLE001 - after any failure the next look tries again
            if self._readable:
                _log.error("serving.floor.unreadable", error=type(error).__name__, detail=str(error))
            self._readable = False
            return
        if not self._readable:
            _log.info("serving.floor.readable", erasure_floor=floor)
        self._readable = True
        if floor > self._floor:
            self._floor = floor
            self._on_raise()
