"""Limits log lines that anybody can cause: requests without a key must not fill the disk."""

from __future__ import annotations

import logging
import threading
import time

LINES = 100
_SECONDS = 60.0


class LineBudget:
    """A limit of lines per minute, shared by all users of the object."""

    def __init__(self, lines: int = LINES) -> None:
        self._lines = lines
        self._lock = threading.Lock()
        self._since = float("-inf")
        self._taken = 0
        self._left_out = 0

    def take(self) -> int | None:
        """Ask for one line. Returns how many lines were left out before it; None if this one must be left out too."""
        now = time.monotonic()
        with self._lock:
            if now - self._since >= _SECONDS:
                self._since, self._taken = now, 0
            if self._taken >= self._lines:
                self._left_out += 1
                return None
            self._taken += 1
            left_out, self._left_out = self._left_out, 0
            return left_out


class Sparing(logging.Filter):
    """Limits the warnings and errors of a server's logger, because each bad request causes one.

    Each level has its own budget, so that warnings caused by strangers never suppress an error.
    """

    def __init__(self, lines: int = LINES) -> None:
        super().__init__()
        self._lines = lines
        self._budgets: dict[int, LineBudget] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        left_out = self._budgets.setdefault(record.levelno, LineBudget(self._lines)).take()
        if left_out:
            record.msg = f"{record.msg} ({left_out} such lines left out)"
        return left_out is not None
