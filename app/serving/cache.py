"""A cache of answers. An answer is kept only while the version that computed it serves."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.serving.recommendation import RankedItem


class CacheKey(NamedTuple):
    """The key of an answer. It has digests only: a name that is reused for other content would give old answers.

    ``left_out`` counts the items that were taken down when the answer was asked for. Takedowns only add up, so the
    count tells their sets apart, and an answer from before a takedown is never found again.
    """

    version: str
    catalogue_digest: str
    subject_hmac: str
    history_digest: str
    k: int
    left_out: int = 0


def history_digest(history: Sequence[int], candidates: Sequence[int] | None = None) -> str:
    """Digest of a whole history, and of the candidates if there are any. Any new event changes it.

    It is the 128-bit BLAKE2b of the item indices. The value -1, which is no index, separates history and candidates.
    """
    numbers = history if candidates is None else (*history, -1, *candidates)
    return hashlib.blake2b(array("q", numbers).tobytes(), digest_size=16).hexdigest()


class ResultCache:
    """Answers of one version, up to a number. Evicts the least recently used ones. Safe for any thread.

    An answer of another version is not stored, so no answer of a retired version outlives the swap. After `put`, the
    caller must check the suppressions, and purge the subject's answers if the subject is suppressed. A suppression is
    first recorded and then purges the cache. So an entry of a suppressed subject is removed in any order of events.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._also: list[Callable[[str], object]] = []
        self._version: str | None = None
        self._entries: OrderedDict[CacheKey, tuple[RankedItem, ...]] = OrderedDict()
        self._keys_of: defaultdict[str, set[CacheKey]] = defaultdict(set)

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def enter(self, version: str | None) -> None:
        """From now on keep answers of this version. Drop those of any other."""
        with self._lock:
            if version != self._version:
                self._version = version
                self._entries.clear()
                self._keys_of.clear()

    def get(self, key: CacheKey) -> tuple[RankedItem, ...] | None:
        with self._lock:
            items = self._entries.get(key)
            if items is not None:
                self._entries.move_to_end(key)
            return items

    def put(self, key: CacheKey, items: tuple[RankedItem, ...]) -> None:
        with self._lock:
            if key.version != self._version or self._max_entries == 0:
                return
            self._entries[key] = items
            self._entries.move_to_end(key)
            self._keys_of[key.subject_hmac].add(key)
            while len(self._entries) > self._max_entries:
                oldest, _ = self._entries.popitem(last=False)
                self._forget_key(oldest)

    def when_purged(self, also: Callable[[str], object]) -> None:
        """Call this with each subject that is purged: what else is kept of them goes too. Call before any thread."""
        self._also.append(also)

    def purge(self, subject_hmac: str) -> int:
        """Drop all answers of one subject, and what else is kept of them. Returns how many answers there were."""
        for also in self._also:
            also(subject_hmac)
        with self._lock:
            keys = self._keys_of.pop(subject_hmac, set())
            for key in keys:
                del self._entries[key]
            return len(keys)

    def _forget_key(self, key: CacheKey) -> None:
        keys = self._keys_of[key.subject_hmac]
        keys.discard(key)
        if not keys:
            del self._keys_of[key.subject_hmac]
