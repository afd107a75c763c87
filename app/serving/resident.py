"""Tracks which versions are resident in memory: a version is released once its objects have been freed.

Unloading a version does not prove that: its weights stay in memory as long as anything refers to them.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterable


class ResidentVersions:
    """Counts the private objects of each version that have not been freed yet. Safe for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = itertools.count()
        self._version_of: dict[int, str] = {}
        self._freed: deque[int] = deque()

    def watch(self, version: str, objects: Iterable[object]) -> None:
        """Keep ``version`` resident until every one of these objects has been freed."""
        watched = [(next(self._tokens), item) for item in objects]
        with self._lock:
            self._version_of.update((token, version) for token, _ in watched)
        for token, item in watched:
            # The garbage collector may run a finaliser at any point of any thread, even while that thread holds our
            # lock. So the finaliser takes no lock: it only appends to a deque.
            weakref.finalize(item, self._freed.append, token).atexit = False

    def versions(self) -> tuple[str, ...]:
        """Digests of the versions with anything left in memory, sorted."""
        return tuple(sorted(self.counts()))

    def counts(self) -> Counter[str]:
        """The number of objects still in memory, by version."""
        with self._lock:
            while self._freed:
                self._version_of.pop(self._freed.popleft(), None)
            return Counter(self._version_of.values())
