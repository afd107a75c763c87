"""Which versions are still in memory, by evidence: a version is released once its objects have been freed.

That it has been told to unload is no evidence: its weights may stay, for as long as anything refers to them.
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
            # The garbage collector may run a finaliser in the middle of anything on any thread, also inside a
            # lock of ours: appending to a deque is all that is safe there.
            weakref.finalize(item, self._freed.append, token).atexit = False

    def versions(self) -> tuple[str, ...]:
        """Digests of the versions with anything left in memory, sorted."""
        return tuple(sorted(self.counts()))

    def counts(self) -> Counter[str]:
        """Objects still in memory, by version."""
        with self._lock:
            while self._freed:
                self._version_of.pop(self._freed.popleft(), None)
            return Counter(self._version_of.values())
