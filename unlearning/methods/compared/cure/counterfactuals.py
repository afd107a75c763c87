"""CURE's counterfactual inputs: the same window with other items. Our reconstruction.

Patching compares activations token by token, so a counterfactual has the window's length: every item is replaced by
another one, while `bos` and padding stay. The random walk restarts at the window's items and not at a user. So
subjects, who are not in the graph of the retained users, are treated like everybody else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from recommender import ItemTokenStyle

_TOLERANCE, _MOST_ITERATIONS = 1e-6, 200
_RANKS_AWAY = 10


class Counterfactual(Protocol):
    """Makes the counterfactual inputs."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """`tokens` [rows, positions] with other items; consecutive calls draw consecutive random numbers."""


class ItemGraph:
    """The undirected graph of users and their items; an item that a user has several times counts as several edges.

    Args:
        sequences: catalogue indices, one sequence per user.
        items: size of the catalogue; items that nobody has are nodes without an edge.
    """

    def __init__(self, sequences: Sequence[Sequence[int]], items: int) -> None:
        edges = Counter((user, item) for user, sequence in enumerate(sequences) for item in sequence)
        user, item = torch.tensor(list(edges), dtype=torch.int64).T
        weight = torch.tensor(list(edges.values()), dtype=torch.float64)
        self._items, self._nodes = items, items + len(sequences)
        ends = torch.stack([torch.cat([item, user + items]), torch.cat([user + items, item])])
        weight = torch.cat([weight, weight])
        degree = torch.zeros(self._nodes, dtype=torch.float64).index_add_(0, ends[1], weight)
        self._isolated = (degree == 0).double()
        shape = (self._nodes, self._nodes)
        self._walk = torch.sparse_coo_tensor(
            ends, weight / degree[ends[1]], shape, check_invariants=True
        ).coalesce()

    def personalised_pagerank(self, seeds: Tensor, restart: float) -> Tensor:
        """Stationary probability of each item, float64 [items, columns], in a random walk that restarts at `seeds`.

        Power iteration of p <- restart * seeds + (1 - restart) * W p until no column changes by more than 1e-6 in sum.
        A walk that reaches a node without an edge restarts. The users hold the rest of each column's probability.

        Args:
            seeds: restart distributions, float [items, columns], one per column.
            restart: probability of restarting at each step, in (0, 1).
        """
        source = torch.zeros(self._nodes, seeds.shape[1], dtype=torch.float64)
        source[: self._items] = seeds
        share = source
        for _ in range(_MOST_ITERATIONS):
            stuck = self._isolated @ share
            step = restart * source + (1 - restart) * (torch.sparse.mm(self._walk, share) + stuck * source)
            moved = float((step - share).abs().sum(0).max())
            share = step
            if moved < _TOLERANCE:
                break
        return share[: self._items]


class PagerankTail:
    """Replaces each item by one that a random walk from the window's items visits most rarely.

    The new item is drawn uniformly from the `tail` share of the catalogue with the smallest personalised PageRank. The
    window's own items rank last, so they are drawn only if the tail is longer than the rest of the catalogue. Of items
    with equal PageRank, the later in the catalogue counts as rarer.
    """

    def __init__(
        self,
        style: ItemTokenStyle,
        sequences: Sequence[Sequence[int]],
        *,
        restart: float,
        tail: float,
        seed: int,
    ) -> None:
        self._first, self._size = style.first_item_token, style.catalogue_size
        self._graph = ItemGraph(sequences, self._size)
        self._restart = restart
        self._length = max(1, math.floor(tail * self._size))
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, tokens: Tensor) -> Tensor:
        """See `Counterfactual`."""
        tails = self.tails(tokens)
        chosen = torch.randint(self._length, tokens.shape, generator=self._generator)
        replaced = self._first + tails.gather(1, chosen)
        return torch.where(_is_item(tokens, self._first, self._size), replaced, tokens)

    def tails(self, tokens: Tensor) -> Tensor:
        """The items that each row may receive, int64 [rows, length of the tail], rarest first.

        For a row without an item (a `bos` alone), the walk restarts at any item.
        """
        is_item = _is_item(tokens, self._first, self._size)
        count = torch.zeros(len(tokens), self._size, dtype=torch.float64)
        count.scatter_add_(1, (tokens - self._first).clamp(0, self._size - 1), is_item.double())
        seeds = torch.where(is_item.any(1, keepdim=True), count, 1.0)
        share = self._graph.personalised_pagerank((seeds / seeds.sum(1, keepdim=True)).T, self._restart).T
        order = torch.where(count > 0, math.inf, share).flip(1).sort(dim=1, stable=True).indices
        return self._size - 1 - order[:, : self._length]


class PopularityMatched:
    """Replaces each item by one at most ten popularity ranks away, uniformly; the window may already hold it."""

    def __init__(self, style: ItemTokenStyle, sequences: Sequence[Sequence[int]], *, seed: int) -> None:
        self._first, self._size = style.first_item_token, style.catalogue_size
        counts = Counter(item for sequence in sequences for item in sequence)
        popularity = torch.tensor([counts[item] for item in range(self._size)])
        self._by_rank = popularity.sort(descending=True, stable=True).indices
        self._rank = self._by_rank.argsort()
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, tokens: Tensor) -> Tensor:
        """See `Counterfactual`."""
        is_item = _is_item(tokens, self._first, self._size)
        rank = self._rank[(tokens - self._first).clamp(0, self._size - 1)]
        away = torch.randint(1, self._reach + 1, tokens.shape, generator=self._generator)
        sign = 2 * torch.randint(2, tokens.shape, generator=self._generator) - 1
        inside = (rank + sign * away >= 0) & (rank + sign * away < self._size)
        # Beyond either end of the ranking, take the item at the same distance in the other direction.
        there = rank + torch.where(inside, sign, -sign) * away
        return torch.where(is_item, self._first + self._by_rank[there.clamp(0, self._size - 1)], tokens)

    @property
    def _reach(self) -> int:
        return max(1, min(_RANKS_AWAY, (self._size - 1) // 2))


def _is_item(tokens: Tensor, first: int, size: int) -> Tensor:
    return (tokens >= first) & (tokens < first + size)
