"""Co-visit counts: how often users visit two items near each other. Integers, so a user can be subtracted exactly."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence

# Two events of a user count as a visit together if at most this many steps lie between them.
_STEPS = 5
# How many of a history's latest items determine the candidates.
_RECENT = 20


class CoVisits:
    """Counts over sequences of item indices. Not thread-safe.

    `add` and `remove` of the same sequence cancel exactly. Counts that fall to 0 are dropped, so the result equals
    counts that never had the sequence.
    """

    def __init__(self) -> None:
        self._pairs: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self._visits: Counter[int] = Counter()

    def add(self, sequence: Sequence[int]) -> None:
        """Add one user's items, in time order."""
        self._count(sequence, 1)

    def remove(self, sequence: Sequence[int]) -> None:
        """Subtract the counts that `add` has made for the same sequence."""
        self._count(sequence, -1)

    def candidates(
        self, history: Sequence[int], count: int, left_out: Collection[int] = frozenset()
    ) -> list[int]:
        """At most `count` items that are neither in `history` nor in `left_out`, best first.

        The score of item j is the sum over the recent items i of c(i, j) / sqrt(n_i n_j), where c is the number of
        visits together and n that of visits: the cosine similarity of the two items' visitors. Items without a score
        follow, ordered by visits. Ties are ordered by index.
        """
        seen = {*history, *left_out}
        scores: defaultdict[int, float] = defaultdict(float)
        for item in history[-_RECENT:]:
            own = self._visits[item]
            for other, together in self._pairs.get(item, Counter[int]()).items():
                if other not in seen:
                    scores[other] += together / math.sqrt(own * self._visits[other])
        best = sorted(scores, key=lambda item: (-scores[item], item))[:count]
        if len(best) < count:
            known = seen.union(best)
            popular = sorted(
                (item for item in self._visits if item not in known),
                key=lambda item: (-self._visits[item], item),
            )
            best += popular[: count - len(best)]
        return best

    def __eq__(self, other: object) -> bool:
        """Whether all counts are the same."""
        if not isinstance(other, CoVisits):
            return NotImplemented
        return self._visits == other._visits and dict(self._pairs) == dict(other._pairs)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def _count(self, sequence: Sequence[int], step: int) -> None:
        for item, other in _near(sequence):
            for one, two in ((item, other), (other, item)):
                row = self._pairs[one]
                row[two] += step
                if not row[two]:
                    del row[two]
                if not row:
                    del self._pairs[one]
        for item in sequence:
            self._visits[item] += step
            if not self._visits[item]:
                del self._visits[item]


def _near(sequence: Sequence[int]) -> Iterator[tuple[int, int]]:
    for place, item in enumerate(sequence):
        for other in sequence[place + 1 : place + 1 + _STEPS]:
            if other != item:
                yield item, other
