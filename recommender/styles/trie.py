"""A trie over the items' token tuples: which tokens may follow each prefix, and which items a tuple stands for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from recommender.batching import pad_right
from recommender.choices import OptionSet
from recommender.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Level:
    """The prefixes of one length, in the order of their tokens, so that the children of a prefix adjoin.

    Attributes:
        tokens: the last token of each prefix, int64 [nodes].
        parents: its prefix in the level before, int64 [nodes]; 0 in the first level, whose prefix is empty.
    """

    tokens: Tensor
    parents: Tensor

    def __len__(self) -> int:
        """Number of prefixes."""
        return len(self.tokens)


@dataclass(frozen=True, eq=False)
class Trie:
    """Tuples of tokens of one length, each the name of one or several items.

    Attributes:
        paths: the tuple of each item, by catalogue index.
        levels: the prefixes of length 1, 2, …; those of the last one are whole tuples, the leaves.
        options: for each level, the children of every prefix of the level before: shared sets, tokens ascending.
        leaf_of: the leaf of each item.
        items_of: the items of each leaf, the first in their order first.
    """

    paths: tuple[tuple[int, ...], ...]
    levels: tuple[Level, ...]
    options: tuple[tuple[OptionSet, ...], ...]
    leaf_of: tuple[int, ...]
    items_of: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, paths: Sequence[tuple[int, ...]], order: Sequence[float] | None = None) -> Trie:
        """The trie of the items' tuples.

        Args:
            paths: one tuple of tokens for each item of the catalogue, all of one length.
            order: items that share a tuple are listed by ascending values of it; then, and without it, by index.
        """
        leaves = sorted(set(paths))
        levels, options = [], []
        before: list[tuple[int, ...]] = [()]
        for depth in range(1, len(leaves[0]) + 1):
            nodes = sorted({leaf[:depth] for leaf in leaves})
            place = {prefix: number for number, prefix in enumerate(before)}
            parents = [place[node[:-1]] for node in nodes]
            starts = [bisect_left(parents, parent) for parent in range(len(before) + 1)]
            levels.append(Level(torch.tensor([node[-1] for node in nodes]), torch.tensor(parents)))
            options.append(
                tuple(
                    OptionSet(tuple(node[-1] for node in nodes[start:end])) for start, end in pairwise(starts)
                )
            )
            before = nodes
        number = {leaf: place for place, leaf in enumerate(leaves)}
        leaf_of = tuple(number[path] for path in paths)
        items_of: list[list[int]] = [[] for _ in leaves]
        for item in sorted(range(len(paths)), key=lambda item: (0.0 if order is None else order[item], item)):
            items_of[leaf_of[item]].append(item)
        return cls(tuple(paths), tuple(levels), tuple(options), leaf_of, tuple(map(tuple, items_of)))

    @property
    def depth(self) -> int:
        """Number of tokens of a tuple."""
        return len(self.levels)

    @property
    def leaves(self) -> int:
        """Number of different tuples."""
        return len(self.levels[-1])

    @property
    def fed(self) -> int:
        """Number of prefixes that are no whole tuples: so many tokens score all items after a prompt."""
        return sum(map(len, self.levels[:-1]))

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """For each level, where the children of every prefix of the level before begin in it; its length at the end."""
        found = []
        for sets in self.options:
            starts = [0]
            for options in sets:
                starts.append(starts[-1] + len(options))
            found.append(tuple(starts))
        return tuple(found)

    @cached_property
    def children(self) -> tuple[Tensor, ...]:
        """For each level, the tokens of the children of every prefix of the level before, int64 [prefixes, widest].

        -1 stands behind the last child.
        """
        return tuple(pad_right([options.tokens for options in sets], -1)[0] for sets in self.options)

    @cached_property
    def places(self) -> Tensor:
        """The place of each item among those of its leaf, int64 [items]; 0 is the first."""
        found = torch.zeros(len(self.paths), dtype=torch.int64)
        for items in self.items_of:
            found[list(items)] = torch.arange(len(items))
        return found

    def choices(self, item: int) -> tuple[tuple[int, ...], tuple[OptionSet, ...]]:
        """The choices that lead to an item: the place of the truth among the options of each, and these options."""
        targets, sets = [], []
        node = 0
        for depth, token in enumerate(self.paths[item]):
            options = self.options[depth][node]
            place = bisect_left(options.tokens, token)
            targets.append(place)
            sets.append(options)
            node = self.starts[depth][node] + place
        return tuple(targets), tuple(sets)


def check_paths(
    item_ids: Sequence[str],
    index: Sequence[Sequence[str]],
    paths: Sequence[Sequence[int]],
    *,
    collisions: bool,
) -> None:
    """Refuse tuples that no trie can hold.

    Args:
        item_ids, index, paths: of each item its id, its token strings and its tokens.
        collisions: whether items may share a tuple.

    Raises:
        ConfigError: the tuples differ in length or are empty, or two items share one though they may not; the message
            names both items.
    """
    first: dict[tuple[int, ...], str] = {}
    for item_id, strings, path in zip(item_ids, index, paths, strict=True):
        if not path:
            raise ConfigError(f"item {item_id!r} has no token")
        if len(path) != len(paths[0]):
            raise ConfigError(
                f"item {item_ids[0]!r} has {len(paths[0])} tokens, but item {item_id!r} has {len(path)}: "
                "all tuples must be of one length"
            )
        other = first.setdefault(tuple(path), item_id)
        if other != item_id and not collisions:
            raise ConfigError(
                f"items {other!r} and {item_id!r} share the tuple {''.join(strings)}; give them different ones, "
                'or say in which order they are served with "collisions": "popularity" or "index"'
            )
