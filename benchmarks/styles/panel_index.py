"""Semantic ids from what a panel watched, as a quantiser might make them. They depend on no user of the service."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from recommender import Catalogue, ConfigError


def panel_index(
    catalogue: Catalogue, panel: Sequence[Sequence[int]], levels: int = 3
) -> dict[str, list[str]]:
    """{item id: one token for each level}. No two items share all tokens, and all prefixes have about as many items.

    The first level has parts of equal size, by how many of the panel watched an item. Each further level cuts a part
    into equal parts along the first principal component of its items' rows of watchers. Items that the panel does not
    tell apart are in the order of their names' digests.

    Raises:
        ConfigError: nobody is in the panel.
    """
    if not panel:
        raise ConfigError("an index of what a panel watched needs somebody in the panel")
    parts = 2
    while parts**levels < len(catalogue):
        parts += 1
    watched = torch.zeros(len(catalogue), len(panel))
    for user, history in enumerate(panel):
        watched[list(set(history)), user] = 1
    names = zip(catalogue.item_ids, catalogue.titles, strict=True)
    digests = [hashlib.sha256("\n".join(name).encode()).hexdigest() for name in names]
    tokens: list[list[str]] = [[] for _ in digests]

    def divide(members: list[int], level: int) -> None:
        if level == levels:
            return
        rows = watched[members]
        keys = -rows.sum(1) if level == 0 else _first_component(rows)
        order = sorted(zip(_rounded(keys), (digests[item] for item in members), members, strict=True))
        bounds = [len(order) * part // parts for part in range(parts + 1)]
        for part, (start, end) in enumerate(pairwise(bounds)):
            own = [item for *_, item in order[start:end]]
            for item in own:
                tokens[item].append(f"<{chr(ord('a') + level)}_{part}>")
            if own:
                divide(own, level + 1)

    divide(list(range(len(catalogue))), 0)
    return dict(zip(catalogue.item_ids, tokens, strict=True))


def _first_component(rows: Tensor) -> Tensor:
    """Each row's place along the direction in which the rows differ most; its sign is that of the largest weight."""
    centred = rows - rows.mean(0)
    direction = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    return centred @ direction * direction[direction.abs().argmax()].sign()


def _rounded(keys: Tensor) -> list[float]:
    # Most ties are exact; without this, rounding would decide between them.
    return [round(key, 4) for key in keys.tolist()]
