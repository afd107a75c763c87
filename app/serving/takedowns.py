"""The items that this replica must never name, whoever asks and whatever computes the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from app.serving.ranker import Catalogue
from app.serving.recommendation import RankedItem, Recommendation


class TakenItems:
    """Items that were taken down, from the feed and from this replica's own acceptances. Safe for any thread.

    A takedown never ends, so the set only grows, from any feed that was read, however old or late. It holds items that
    the catalogue lacks too: the database must learn of them again if it was set back.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._epochs: dict[str, int] = {}
        self._indices: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def indices(self) -> frozenset[int]:
        """Catalogue indices of the items. Only another set has other content."""
        return self._indices

    def epochs(self) -> dict[str, int]:
        """All ids of items that were taken down, with the epochs of their takedowns."""
        with self._lock:
            return dict(self._epochs)

    def add(self, taken_down: Iterable[tuple[int, str]]) -> bool:
        """Add items, each with the epoch of its takedown. Returns whether one of them was not known."""
        with self._lock:
            new = {item_id: epoch for epoch, item_id in taken_down if item_id not in self._epochs}
            if not new:
                return False
            self._epochs |= new
            found = {index for item_id in new if (index := self._catalogue.index(item_id)) is not None}
            if found:
                self._indices |= found
            return True

    def names(self, items: Iterable[RankedItem]) -> bool:
        """Whether one of these items was taken down."""
        taken = self._indices
        return any(item.item in taken for item in items)

    def without(self, answer: Recommendation) -> Recommendation:
        """The answer without the items that were taken down; the same object if it names none."""
        if not self.names(answer.items):
            return answer
        taken = self._indices
        return replace(answer, items=tuple(item for item in answer.items if item.item not in taken))
