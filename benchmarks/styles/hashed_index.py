"""Semantic ids that depend on no user: the ranks of items by the digests of their titles, written as digits."""

from __future__ import annotations

import hashlib

from recommender import Catalogue


def hashed_index(catalogue: Catalogue, levels: int = 3) -> dict[str, list[str]]:
    """{item id: one token for each level}. No two items share all tokens, and all prefixes have about as many items.

    A quantiser of texts would give similar items a common prefix. A digest does not, so a model on this index has to
    learn each item separately.
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
