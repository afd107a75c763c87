"""The suppressed subjects, and whether this replica's knowledge of them is recent enough to personalise (I2)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Literal

from app.serving.clock import elapsed
from app.serving.control import ControlState


class SuppressionSet:
    """Suppressed subjects, from the feed and from this replica's own acceptances. Safe for any thread.

    Ordering rules:

    - A suppression ends only by a lift with a higher epoch than its own, in a feed that is vouched for, not late, and
      of the timeline in force. No other feed, however old or late, ends one.
    - A suppression that was lifted here does not come back with an older entry of the feed.
    - A local ``apply`` takes effect at once but moves neither ``cursor`` nor ``epoch``: this replica may have
      accepted epoch 7 before it has received another replica's epoch 6.
    - ``cursor`` is the highest epoch received. ``epoch`` is the one up to which the feed promises to be complete. If
      an entry is missing although it was promised, the next read, which starts at the cursor, returns it.
    - A feed that was read from beyond the cursor could leave a gap and is ignored. A feed that arrives late is merged,
      but moves nothing back and does not renew the lease.
    - A feed with a lower epoch than one already promised comes from a database that was set back to an older state. The
      set is kept, the lease is not renewed, and the next read starts from zero because epochs may be reused.
    - Cursor and epoch belong to one timeline of the database. They do not hold in another timeline: there the feed is
      read from zero, however high its epoch is.
    - A feed that is not vouched for ends the lease.
    """

    def __init__(self, clock: Callable[[], float] = elapsed) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._subjects: dict[str, int] = {}  # suppressed subject -> epoch of the suppression
        self._lifted: dict[str, int] = {}  # subject -> epoch of the last lift that was applied here
        self._timeline: str | None = None
        self._cursor = 0
        self._epoch = 0
        self._fresh_as_of = -math.inf

    def __contains__(self, subject_hmac: object) -> bool:
        with self._lock:
            return subject_hmac in self._subjects

    def __len__(self) -> int:
        with self._lock:
            return len(self._subjects)

    def epochs(self) -> dict[str, int]:
        """All subjects that are suppressed here, with the epochs of their suppressions."""
        with self._lock:
            return dict(self._subjects)

    @property
    def cursor(self) -> int:
        """The epoch from which the next read of the feed starts."""
        with self._lock:
            return self._cursor

    @property
    def epoch(self) -> int:
        """Every suppression at or below this epoch is in force here."""
        with self._lock:
            return self._epoch

    def apply(self, epoch: int, subject_hmac: str) -> bool:
        """Suppress a subject whose accepting transaction this replica has just committed.

        Returns:
            Whether the subject was not suppressed before.

        Raises:
            ValueError: the epoch is not positive.
        """
        if epoch < 1:
            raise ValueError(f"a suppression epoch starts at 1, not {epoch}")
        with self._lock:
            # Also below the epoch of a lift: in a database that was set back, epochs are handed out again.
            known = subject_hmac in self._subjects
            self._subjects[subject_hmac] = max(epoch, self._subjects.get(subject_hmac, 0))
            self._lifted.pop(subject_hmac, None)
            return not known

    def catch_up(self, after_epoch: int, state: ControlState, *, read_started: float) -> frozenset[str]:
        """Merge one read of the feed.

        Args:
            after_epoch: the epoch after which the feed was read.
            read_started: time of the clock before the read began. The lease counts from there, because requests that
                were accepted during the read may be missing from the feed.

        Returns:
            The subjects that were not suppressed before. The caller must purge their cached answers.
        """
        with self._lock:
            if state.vouched and state.timeline != self._timeline:
                self._timeline, self._cursor, self._epoch = state.timeline, 0, 0
                self._fresh_as_of = -math.inf
                # In another timeline, a lift may be undone, and its epoch may belong to somebody else.
                self._lifted.clear()
            new = self._suppress(state)
            if not state.vouched:
                self._fresh_as_of = -math.inf
                return new
            if after_epoch > self._cursor:
                return new
            if state.epoch < self._epoch:
                if read_started > self._fresh_as_of:
                    self._cursor = self._epoch = 0
                    self._lifted.clear()
                return new
            self._lift(state)
            # A takedown above the promised epoch was read later than the suppressions, of which one may be missing.
            taken_down = (epoch for epoch, _ in state.taken_down if epoch <= state.epoch)
            received = (epoch for epoch, _ in (*state.suppressed, *state.lifted))
            self._cursor = max([self._cursor, *received, *taken_down])
            self._epoch = state.epoch
            self._fresh_as_of = max(self._fresh_as_of, read_started)
            return new

    def _suppress(self, state: ControlState) -> frozenset[str]:
        new = set()
        for epoch, subject in state.suppressed:
            if epoch <= self._lifted.get(subject, 0):
                continue
            if subject not in self._subjects:
                new.add(subject)
            self._subjects[subject] = max(epoch, self._subjects.get(subject, 0))
        return frozenset(new)

    def _lift(self, state: ControlState) -> None:
        for epoch, subject in state.lifted:
            self._lifted[subject] = max(epoch, self._lifted.get(subject, 0))
            if self._subjects.get(subject, epoch) < epoch:
                del self._subjects[subject]

    def lapse(self) -> None:
        """End the lease now, because this replica may not be following the control plane."""
        with self._lock:
            self._fresh_as_of = -math.inf

    def age_seconds(self) -> float:
        """Seconds since the last successful read of the feed started; infinite before the first."""
        with self._lock:
            return self._clock() - self._fresh_as_of

    def obstacle(self, subject_hmac: str, lease_seconds: float) -> Literal["suppressed", "stale_feed"] | None:
        """Why this subject must not be personalised at this moment; None if nothing forbids it.

        The clock is read after the set, never before. So a process that is suspended between the two finds that the
        lease has lapsed.
        """
        with self._lock:
            suppressed, fresh_as_of = subject_hmac in self._subjects, self._fresh_as_of
        if suppressed:
            return "suppressed"
        return "stale_feed" if self._clock() - fresh_as_of > lease_seconds else None

    def is_stale(self, lease_seconds: float) -> bool:
        """Whether the feed is too old to personalise for anyone."""
        return self.age_seconds() > lease_seconds
