"""The fallback: one answer for all suppressed and unknown users, and for everybody while the feed is stale."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from app.serving.errors import InvalidRequest
from app.serving.ranker import Catalogue
from app.serving.recommendation import FallbackReason, RankedItem, Recommendation
from inputs import canonical_json


class PopularityFallback:
    """An immutable ranking of the whole catalogue, the same for every user.

    Every answer names what computed it. A fallback is computed by this list and not by a version. So its name is
    ``fallback:`` followed by the SHA-256 of the canonical JSON of the catalogue's digest and the item ids in order.
    The same list has the same name on every replica, and another list has another name.

    No item is left out because the user has seen it: that would be personalising. Items that were taken down are.
    """

    def __init__(
        self, catalogue: Catalogue, ranking: Sequence[int], left_out: frozenset[int] = frozenset()
    ) -> None:
        """Make the list.

        Args:
            ranking: item indices, most popular first. Items that it lacks follow in catalogue order.
            left_out: item indices that are not in the list, wherever they are in the ranking.

        Raises:
            ValueError: an index is outside the catalogue or occurs twice.
        """
        size = len(catalogue.item_ids)
        if len(set(ranking)) != len(ranking) or not all(0 <= item < size for item in ranking):
            raise ValueError(
                "a popularity ranking names each item of the catalogue at most once, and no other"
            )
        ranked = set(ranking)
        order = [*ranking, *(item for item in range(size) if item not in ranked)]
        self._catalogue, self._ranking, self.left_out = catalogue, ranking, left_out
        self._items = tuple(
            RankedItem(item, catalogue.item_ids[item], catalogue.titles[item], None)
            for item in order
            if item not in left_out
        )
        self.catalogue_digest = catalogue.digest
        named = {"catalogue": catalogue.digest, "items": [item.item_id for item in self._items]}
        self.version = f"fallback:{hashlib.sha256(canonical_json(named)).hexdigest()}"

    def __len__(self) -> int:
        return len(self._items)

    def without(self, left_out: frozenset[int]) -> PopularityFallback:
        """The list without these items."""
        return self if left_out is self.left_out else type(self)(self._catalogue, self._ranking, left_out)

    def recommend(self, k: int, reason: FallbackReason) -> Recommendation:
        """The first ``k`` items, labelled with the reason why they are not personalised; fewer if there are fewer.

        Raises:
            InvalidRequest: ``k`` is not in [1, size of the catalogue].
        """
        if not 1 <= k <= len(self._catalogue.item_ids):
            raise InvalidRequest
        return Recommendation(self._items[:k], False, reason, self.version, None)


def popularity_fallback(catalogue: Catalogue, item_ids: Sequence[str]) -> PopularityFallback:
    """The fallback for a list of item ids, most popular first. Ids that the catalogue lacks are left out."""
    # Earlier releases stored item ids as they were sent, so one item may occur in two spellings.
    found = dict.fromkeys(catalogue.index(item) for item in item_ids)
    return PopularityFallback(catalogue, [index for index in found if index is not None])
