"""Semantic ids that know no user: places of items in the order of their titles' digests, written as digits."""

from __future__ import annotations

import hashlib

from recommender import Catalogue


def hashed_index(catalogue: Catalogue, levels: int = 3) -> dict[str, list[str]]:
    """{item id: one token for each level}; every item has tokens of its own, and all prefixes have about as many items.

    A quantiser of texts would give similar items a common beginning. A digest does not: what is measured on this index
    is a model that has to learn each item by itself.
    """
    names = list(zip(catalogue.item_ids, catalogue.titles, strict=True))
    order = sorted(names, key=lambda name: hashlib.sha256("\n".join(name).encode()).hexdigest())
    base = 2
    while base**levels < len(order):
        base += 1
    place = {item_id: number for number, (item_id, _) in enumerate(order)}
    return {
        item_id: [
            f"<{chr(ord('a') + level)}_{place[item_id] // base**level % base}>" for level in range(levels)
        ]
        for item_id in catalogue.item_ids
    }
