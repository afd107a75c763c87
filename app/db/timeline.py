"""Notices that the database is no longer the one that this process has worked with (invariant I15)."""

from __future__ import annotations

import threading

from app.db.errors import DatabaseRewound, DatabaseUnconfirmed


class JoinedTimeline:
    """The timeline that this process has joined, and the greatest epoch it has seen. Safe for any thread.

    A restored backup has a lower epoch than was seen. Another database has another token, and so has one into which
    another process has replayed the journal. Before the first `join` there is nothing to compare, and all is accepted.
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
        """The greatest epoch that this process has seen."""
        with self._lock:
            return self._epoch

    @property
    def doubts(self) -> int:
        """How often the database was doubted so far."""
        with self._lock:
            return self._doubts

    @property
    def doubted(self) -> bool:
        """Whether this process must compare the database with the store before it goes on."""
        with self._lock:
            return self._doubted

    def doubt(self) -> None:
        """Doubt the database: nothing was read for so long that a copy that lags behind may have taken its place.

        This process may never have seen the suppressions that the copy lacks. The journal in the store has them.
        """
        with self._lock:
            self._doubts, self._doubted = self._doubts + 1, True

    def trust(self, doubts: int) -> None:
        """End the doubt: the database was compared with the store, and the journal was replayed if necessary.

        Args:
            doubts: the value of `doubts` before the comparison. A doubt that has come since then stays.
        """
        with self._lock:
            self._doubted = self._doubted and doubts != self._doubts

    def join(self, token: str, epoch: int) -> None:
        """Work with this timeline from now on, after the journal has been replayed into it."""
        with self._lock:
            self._token, self._epoch, self._lost = token, epoch, False

    def saw(self, epoch: int) -> None:
        """Record an epoch that this process has committed itself."""
        with self._lock:
            self._epoch = max(self._epoch, epoch)

    def agrees(self, token: str | None, epoch: int, *, seen: int) -> bool:
        """Whether the database is still the one that was joined.

        Args:
            token, epoch: the values that were read from the database.
            seen: the value of `epoch` of this object before the read began. Other threads may have seen more since.
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
        """Like `agrees`, for values that were read under the ledger's lock. Raises instead of returning False.

        Raises:
            DatabaseRewound: the database was restored or replaced.
            DatabaseUnconfirmed: the database is doubted.
        """
        if self.doubted:
            raise DatabaseUnconfirmed
        # No thread can have seen more, because any later epoch needs the lock.
        if not self.agrees(token, epoch, seen=self.epoch):
            raise DatabaseRewound
