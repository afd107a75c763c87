"""Exact scores of all items of a trie, and the exact best few without scoring them all.

The score of a tuple is the sum of the log-probabilities of its tokens along the path. Log-probabilities only fall along
a path, so a prefix bounds its leaves.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from recommender.batching import by_token_budget, pad_right
from recommender.styles.prompt_cache import PromptCache
from recommender.styles.trie import Trie

Score = Literal["vocabulary", "children"]

# Nodes of a level that one forward reads.
_CHUNK = 1024
# Every node has the logits of a whole vocabulary: 0.5 GB in float32.
_MAX_LOGITS = 2**27
# Best-first search first reads at least so many prefixes at once, then twice as many each time: a forward of a few
# tokens takes as long as one of one, and a model that is not sure takes many prefixes.
_AT_ONCE = 16
MOST_NODES = 2048


@dataclass(frozen=True)
class Best:
    """The best items of one history, best first, and what finding them took.

    Attributes:
        items: catalogue indices.
        scores: their scores.
        nodes: tokens read after the prompt.
        forwards: forward passes, that of the prompt included.
        exact: False if the cap on nodes was hit, or a score is NaN: then a better item may be missing.
    """

    items: tuple[int, ...]
    scores: tuple[float, ...]
    nodes: int
    forwards: int
    exact: bool


def catalogue_scores(
    model: nn.Module,
    trie: Trie,
    prompts: Sequence[Sequence[int]],
    *,
    score: Score,
    pad: int,
    token_budget: int,
    chunk: int = _CHUNK,
) -> Tensor:
    """Scores of all items after each prompt, float32 [prompts, items], on the CPU.

    Each batch of prompts takes one forward for itself and one for each level but the last; a level of more than `chunk`
    nodes takes several.
    """
    widest = min(chunk, max(map(len, trie.levels[:-1]), default=0))
    # Made outside of inference mode, so that the caller may change it.
    found = torch.empty(len(prompts), len(trie.paths))
    for batch in by_token_budget([len(prompt) + widest for prompt in prompts], token_budget):
        with torch.inference_mode():
            cache = PromptCache(model, [prompts[row] for row in batch], pad, longest=trie.depth - 1)
            most = max(1, min(chunk, _MAX_LOGITS // (cache.rows * cache.last.shape[-1])))
            sums = _root(trie, cache.last, score)
            leaves = torch.empty(cache.rows, trie.leaves)
            _below(cache, trie, 0, 0, sums, [], leaves, score, most)
            found[batch] = _by_item(trie, leaves)
    return found


def _below(
    cache: PromptCache,
    trie: Trie,
    depth: int,
    start: int,
    sums: Tensor,
    ranges: list[tuple[int, int]],
    leaves: Tensor,
    score: Score,
    most: int,
) -> None:
    """Write the scores of all leaves below some adjoining nodes of a level into `leaves` [rows, leaves].

    `sums` [rows, nodes] are the nodes' scores, `start` the first of them, `ranges` those of the ancestors in the cache.
    """
    if depth == trie.depth - 1:
        leaves[:, start : start + sums.shape[1]] = sums
        return
    level = trie.levels[depth]
    for first in range(start, start + sums.shape[1], most):
        end = min(first + most, start + sums.shape[1])
        logits = cache.feed(
            level.tokens[first:end],
            torch.full((end - first,), depth + 1),
            _ancestors(trie, depth, first, end, ranges),
        )
        steps = _steps(logits, trie.children[depth + 1][first:end], score)
        own = sums[:, first - start : end - start]
        below, after = trie.starts[depth + 1][first], trie.starts[depth + 1][end]
        owners = trie.levels[depth + 1].parents[below:after] - first
        _below(
            cache,
            trie,
            depth + 1,
            below,
            own[:, owners] + steps,
            [*ranges, (first, end)],
            leaves,
            score,
            most,
        )
        cache.drop(end - first)


def _ancestors(trie: Trie, depth: int, first: int, end: int, ranges: Sequence[tuple[int, int]]) -> Tensor:
    """Which nodes of the cache, one range for each level above, are ancestors: bool [nodes, cached]."""
    node = torch.arange(first, end)
    blocks = []
    for above in range(depth - 1, -1, -1):
        node = trie.levels[above + 1].parents[node]
        start, stop = ranges[above]
        blocks.append(node.unsqueeze(1) == torch.arange(start, stop))
    return torch.cat([*reversed(blocks), torch.zeros(end - first, 0, dtype=torch.bool)], dim=1)


def _root(trie: Trie, last: Tensor, score: Score) -> Tensor:
    """Scores of the first level, float32 [rows, nodes]."""
    return _steps(last.unsqueeze(1), trie.children[0], score)


def _steps(logits: Tensor, children: Tensor, score: Score) -> Tensor:
    """Log-probabilities of the children of nodes, float32 [rows, children]; those of the first node come first.

    `logits` [rows, nodes, vocabulary]; `children` as in `Trie.children`.
    """
    children = children.to(logits.device)
    mask = children >= 0
    logits = logits.float()
    found = logits.gather(-1, children.clamp(min=0).unsqueeze(0).expand(len(logits), -1, -1))
    if score == "children":
        found = torch.log_softmax(found.masked_fill(~mask, -torch.inf), dim=-1)
    else:
        found = found - logits.logsumexp(-1, keepdim=True)
    return found[:, mask].cpu()


def _by_item(trie: Trie, leaves: Tensor) -> Tensor:
    """Scores of the leaves as scores of the items [rows, items]: those that share a leaf follow each other closely."""
    scores = leaves[:, torch.tensor(trie.leaf_of)]
    for place in range(1, int(trie.places.max()) + 1):
        later = trie.places >= place
        scores[:, later] = _next_lower(scores[:, later])
    return scores


def _next_lower(scores: Tensor) -> Tensor:
    # The order of items that share a tuple must survive sorting. One unit in the last place is far below what another
    # processor changes.
    return torch.nextafter(scores, torch.full_like(scores, -torch.inf))


@torch.inference_mode()
def best_items(
    model: nn.Module,
    trie: Trie,
    prompt: Sequence[int],
    k: int,
    *,
    seen: Collection[int],
    score: Score,
    pad: int,
    most_nodes: int = MOST_NODES,
) -> Best:
    """The `k` best items that are not in `seen`, by best-first search: equal to sorting all scores.

    The most likely prefixes are read first, some at once. The search ends as soon as no prefix that was not read can
    hold an item as good as the `k`-th one, or when `most_nodes` were read.
    """
    search = _Search(
        PromptCache(model, [prompt], pad, longest=trie.depth - 1), trie, score, frozenset(seen), k
    )
    # As for all scores: no forward has more nodes, or more logits, than fit into memory.
    most_at_once = max(1, min(_CHUNK, _MAX_LOGITS // search.cache.last.shape[-1]))
    at_once = max(_AT_ONCE, 2 * k)
    while search.open() and search.cache.nodes < most_nodes:
        search.step(min(at_once, most_at_once, most_nodes - search.cache.nodes))
        at_once *= 2
    best = sorted(search.found)[:k]
    return Best(
        items=tuple(item for _, item in best),
        scores=tuple(-lost for lost, _ in best),
        nodes=search.cache.nodes,
        forwards=search.cache.forwards,
        exact=not search.open() and not search.torn,
    )


@dataclass(frozen=True, order=True)
class _Prefix:
    """A node that was not read: `lost` is minus its score, `line` the places of its ancestors in the cache."""

    lost: float
    depth: int
    node: int
    line: tuple[int, ...]


class _Search:
    """The frontier of a best-first search, and the items found: (minus the score, item)."""

    def __init__(self, cache: PromptCache, trie: Trie, score: Score, seen: frozenset[int], k: int) -> None:
        self.cache = cache
        self.found: list[tuple[float, int]] = []
        # NaN has no place in an order: a frontier that holds it says nothing.
        self.torn = False
        self._trie, self._score, self._seen, self._k = trie, score, seen, k
        self._frontier: list[_Prefix] = []
        self._add(0, 0, _root(trie, cache.last, score)[0], ())

    def open(self) -> bool:
        """Whether a prefix that was not read may still hold one of the best items."""
        return bool(self._frontier) and self._frontier[0].lost <= self._worst()

    def step(self, count: int) -> None:
        """Read the best `count` prefixes that may still matter."""
        worst = self._worst()
        chosen: list[_Prefix] = []
        while self._frontier and len(chosen) < count and self._frontier[0].lost <= worst:
            chosen.append(heapq.heappop(self._frontier))
        kept = self.cache.kept
        ancestors = torch.zeros(len(chosen), kept, dtype=torch.bool)
        for row, prefix in enumerate(chosen):
            ancestors[row, list(prefix.line)] = True
        logits = self.cache.feed(
            torch.stack([self._trie.levels[prefix.depth].tokens[prefix.node] for prefix in chosen]),
            torch.tensor([prefix.depth + 1 for prefix in chosen]),
            ancestors,
        )
        sets = [self._trie.options[prefix.depth + 1][prefix.node].tokens for prefix in chosen]
        steps = _steps(logits, pad_right(sets, -1)[0], self._score)
        parts = torch.split(steps[0], [len(options) for options in sets])
        for row, (prefix, part) in enumerate(zip(chosen, parts, strict=True)):
            start = self._trie.starts[prefix.depth + 1][prefix.node]
            self._add(prefix.depth + 1, start, part - prefix.lost, (*prefix.line, kept + row))

    def _worst(self) -> float:
        """What the last of the best `k` items found so far lost; infinite as long as there are fewer."""
        return self.found[self._k - 1][0] if len(self.found) >= self._k else float("inf")

    def _add(self, depth: int, start: int, scores: Tensor, line: tuple[int, ...]) -> None:
        self.torn = self.torn or bool(torch.isnan(scores).any())
        if depth < self._trie.depth - 1:
            for place, value in enumerate(scores.tolist()):
                heapq.heappush(self._frontier, _Prefix(-value, depth, start + place, line))
            return
        for place, value in enumerate(scores):
            for item in self._trie.items_of[start + place]:
                if item not in self._seen:
                    self.found.append((-float(value), item))
                value = _next_lower(value)
        self.found = sorted(self.found)[: self._k]
