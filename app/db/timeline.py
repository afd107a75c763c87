"""Noticing that the database is not the one any more that this process has worked with (invariant I15)."""

from __future__ import annotations

import threading

from app.db.errors import DatabaseRewound


class JoinedTimeline:
    """The timeline that this process has joined, and how far it has seen its epochs. Safe for any thread.

    A backup has an older epoch than was seen; another database, and one whose journal was replayed by somebody else,
    have another token. Before the first `join` there is nothing to compare with, and everything is let through.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: str | None = None
        self._epoch = 0
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether this process must join again before it goes on."""
        with self._lock:
            return self._lost

    @property
    def epoch(self) -> int:
        """The greatest epoch seen."""
        with self._lock:
            return self._epoch

    def join(self, token: str, epoch: int) -> None:
        """Go on with this timeline, after the journal has been replayed into it."""
        with self._lock:
            self._token, self._epoch, self._lost = token, epoch, False

    def saw(self, epoch: int) -> None:
        """This process has moved the epoch itself, and that is committed."""
        with self._lock:
            self._epoch = max(self._epoch, epoch)

    def agrees(self, token: str | None, epoch: int, *, seen: int) -> bool:
        """Whether the database is still the one that was joined.

        Args:
            token, epoch: what was read of it.
            seen: `epoch` of this object before the read began; others may have seen more since.
        """
        with self._lock:
            if self._token is None:
                return True
            if self._lost or token != self._token or epoch < seen:
                self._lost = True
                return False
            self._epoch = max(self._epoch, epoch)
            return True

    def require(self, token: str | None, epoch: int) -> None:
        """The same of what was read under the ledger's lock.

        Raises:
            DatabaseRewound: it is another one.
        """
        # Nobody can have seen more: what follows this state waits for the lock.
        if not self.agrees(token, epoch, seen=self.epoch):
            raise DatabaseRewound
