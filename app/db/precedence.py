"""Turns at the ledger among the threads of one process, so that no forget request waits for a whole import."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from app.db.errors import DatabaseUnavailable
from app.db.session import SQLITE_BUSY_SECONDS


class FairLock:
    """A lock that threads get in the order in which they asked for it.

    `threading.Lock` has no order: as a rule, the thread that has just released it gets it again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold the lock in the block.

        Args:
            patience: seconds to wait for the lock.

        Raises:
            DatabaseUnavailable: the wait took longer, so the holder probably gets no answer from the database.
        """
        place = object()
        with self._changed:
            self._line.append(place)
            try:
                reached = self._changed.wait_for(lambda: self._line[0] is place, patience)
            except BaseException:
                self._leave(place)
                raise
            if not reached:
                self._leave(place)
                raise DatabaseUnavailable
        try:
            yield
        finally:
            with self._changed:
                self._leave(place)

    def _leave(self, place: object) -> None:
        self._line.remove(place)
        self._changed.notify_all()


class Precedence:
    """Turns at the ledger among the threads of one process. The database orders the processes.

    Code that writes while a caller waits takes `turn`. Imports take `import_turn`. At most one import is in the queue
    at a time, so a forget request waits for at most one slice.
    """

    def __init__(self, patience: float = SQLITE_BUSY_SECONDS) -> None:
        self._patience = patience
        self._ledger = FairLock()
        self._imports = FairLock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn for one transaction.

        Raises:
            DatabaseUnavailable: the turn did not come within the patience.
        """
        with self._ledger.held(self._patience):
            yield

    @contextmanager
    def import_turn(self, *, pause: bool) -> Iterator[None]:
        """A turn for one slice.

        Args:
            pause: whether all imports pause afterwards for as long as the slice took. SQLite has no queue: a waiting
                writer polls for the lock, and without pauses would find the database locked each time.

        Raises:
            DatabaseUnavailable: the turn did not come within the patience.
        """
        with self._imports.held(self._patience):
            with self._ledger.held(self._patience):
                started = time.monotonic()
                yield
            if pause:
                time.sleep(time.monotonic() - started)
