"""Whose turn it is at the ledger among the threads of one process, so that no forget waits for a whole import."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from app.db.errors import DatabaseUnavailable
from app.db.session import SQLITE_BUSY_SECONDS


class FairLock:
    """A lock that is given out in the order in which it was asked for.

    `threading.Lock` goes to whoever comes by, as a rule to the thread that has just let go of it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """
        Args:
            patience: seconds to wait for it.

        Raises:
            DatabaseUnavailable: it took longer, so whoever has it gets no answer from the database.
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
    """Turns at the ledger. The database keeps order among processes, this among the threads of one.

    Whoever writes for somebody who waits takes `turn`. Imports take `import_turn`: there is one of them in the line at
    a time, whatever their number, so that a forget comes after at most one slice.
    """

    def __init__(self, patience: float = SQLITE_BUSY_SECONDS) -> None:
        self._patience = patience
        self._ledger = FairLock()
        self._imports = FairLock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """
        Raises:
            DatabaseUnavailable: it did not come within the patience.
        """
        with self._ledger.held(self._patience):
            yield

    @contextmanager
    def import_turn(self, *, pause: bool) -> Iterator[None]:
        """A turn for one slice.

        Args:
            pause: whether all imports then rest for as long as the slice took. SQLite has no line: whoever waits, in
                another process or in this one, tries again every now and then, and without rests would find the
                database taken each time.

        Raises:
            DatabaseUnavailable: it did not come within the patience.
        """
        with self._imports.held(self._patience):
            with self._ledger.held(self._patience):
                started = time.monotonic()
                yield
            if pause:
                time.sleep(time.monotonic() - started)
