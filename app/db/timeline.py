"""Noticing that the database is not the one any more that this process has worked with (invariant I15)."""

from __future__ import annotations

import threading

from app.db.errors import DatabaseRewound, DatabaseUnconfirmed


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
        self._doubts = 0
        self._doubted = False

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

    @property
    def doubts(self) -> int:
        """How often it was doubted so far."""
        with self._lock:
            return self._doubts

    @property
    def doubted(self) -> bool:
        """Whether the store is to be asked before this process goes on."""
        with self._lock:
            return self._doubted

    def doubt(self) -> None:
        """Nothing was read for so long that a copy which lags may have taken its place.

        What it lacks, this process may never have seen; the journal in the store has it.
        """
        with self._lock:
            self._doubts, self._doubted = self._doubts + 1, True

    def trust(self, doubts: int) -> None:
        """The store was asked, and the journal replayed where it had to be.

        Args:
            doubts: the number before it was asked; one that has come since stays.
        """
        with self._lock:
            self._doubted = self._doubted and doubts != self._doubts

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
            DatabaseUnconfirmed: it is doubted.
        """
        if self.doubted:
            raise DatabaseUnconfirmed
        # Nobody can have seen more: what follows this state waits for the lock.
        if not self.agrees(token, epoch, seen=self.epoch):
            raise DatabaseRewound
