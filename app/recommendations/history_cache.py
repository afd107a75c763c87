"""Users' histories in memory, for as long as nothing has changed them."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from app.serving.clock import elapsed

# No history is kept for longer. Nothing relies on that: it bounds what no rule here has thought of.
_MOST_SECONDS = 60.0


class History(NamedTuple):
    """Item indices, oldest first, and the events that the model reads: none where it needs ratings and finds none."""

    items: tuple[int, ...]
    events: tuple[int, ...]


@dataclass(eq=False)
class Reading:
    """A history that is being read from the database. It is not kept if it has changed meanwhile."""

    subject: str
    spoilt: bool = False


class _Kept(NamedTuple):
    history: History
    at: float


class HistoryCache:
    """Histories by subject. Safe for any thread.

    A history is given out only if it was found unchanged a short time ago: `looked` must have been called for a look
    that began at most ``lease_seconds`` ago. So a history is as old as the lease at most, whatever has failed.

    Args:
        most_events: how many events are kept, over all subjects. The least recently used histories go first.
        clock: a clock in seconds that goes on while this process is suspended.
    """

    def __init__(self, most_events: int, lease_seconds: float, clock: Callable[[], float] = elapsed) -> None:
        self._most_events = most_events
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._events = 0
        self._readings: dict[str, set[Reading]] = {}
        self._fresh_as_of = -math.inf

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)

    @property
    def in_use(self) -> bool:
        """Whether there is anything that a change could concern."""
        with self._lock:
            return bool(self._kept or self._readings)

    def get(self, subject_hmac: str) -> History | None:
        with self._lock:
            kept, fresh_as_of = self._kept.get(subject_hmac), self._fresh_as_of
            if kept is not None:
                self._kept.move_to_end(subject_hmac)
        # The clock is read last, so that a process that is suspended in between finds the history too old.
        now = self._clock()
        if kept is None or now - fresh_as_of > self._lease_seconds or now - kept.at > _MOST_SECONDS:
            return None
        return kept.history

    def begin(self, subject_hmac: str) -> Reading:
        """Say that the history is about to be read. `keep` or `drop` must follow."""
        reading = Reading(subject_hmac)
        with self._lock:
            self._readings.setdefault(subject_hmac, set()).add(reading)
        return reading

    def keep(self, reading: Reading, history: History) -> None:
        """Keep what was read, unless it has changed since `begin`."""
        now = self._clock()
        with self._lock:
            if not self._end(reading) or len(history.items) > self._most_events:
                return
            self._remove(reading.subject)
            self._kept[reading.subject] = _Kept(history, now)
            self._events += len(history.items)
            while self._events > self._most_events:
                self._remove(next(iter(self._kept)))

    def drop(self, reading: Reading) -> None:
        """Say that the history was not read."""
        with self._lock:
            self._end(reading)

    def forget(self, subjects: Iterable[str]) -> None:
        """Drop the histories of these subjects, because they have changed; also those that are being read."""
        with self._lock:
            for subject in subjects:
                self._remove(subject)
                self._spoil(subject)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._kept.clear()
            self._events = 0
            for subject in list(self._readings):
                self._spoil(subject)

    def looked(self, started: float) -> None:
        """Say that all changes before `started` (of the clock) have been told by `forget` or `clear`."""
        with self._lock:
            self._fresh_as_of = max(self._fresh_as_of, started)

    def _end(self, reading: Reading) -> bool:
        """Take the reading off the list. Returns whether what it has read is good."""
        under_way = self._readings.get(reading.subject)
        if under_way is not None:
            under_way.discard(reading)
            if not under_way:
                del self._readings[reading.subject]
        return not reading.spoilt

    def _spoil(self, subject: str) -> None:
        for reading in self._readings.pop(subject, ()):
            reading.spoilt = True

    def _remove(self, subject: str) -> None:
        kept = self._kept.pop(subject, None)
        if kept is not None:
            self._events -= len(kept.history.items)
