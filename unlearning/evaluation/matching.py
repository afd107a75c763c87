"""Matching a subject's training items with held-out items of others: by position and by popularity.

Held-out items are the latest of each user, and rarer than the rest; early or popular items gain differently. Matching
happens in bins of both, so that like is compared with like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Fewer held-out items than this in a bin would make its mean as uncertain as a single user's.
_ITEMS_PER_BIN = 20


@dataclass(frozen=True)
class MatchQuality:
    """How well positions were matched: the share inside their bin's range, the mean distance (events) to it."""

    share_matched: float
    mean_distance: float


@dataclass(frozen=True)
class Places:
    """Where items stand, int64 [n] each: `positions`, events before it; `popularity`, users who met it."""

    positions: Tensor
    popularity: Tensor

    def __len__(self) -> int:
        """How many items."""
        return len(self.positions)

    def chosen(self, marks: Sequence[bool]) -> Places:
        """Where the marked items stand."""
        wanted = torch.tensor(marks)
        return Places(self.positions[wanted], self.popularity[wanted])


@dataclass(frozen=True)
class Matching:
    """Bins of the reference items: `position_edges` and `popularity_edges` split them.

    `lowest` and `highest` hold the range of reference positions in each position bin.
    """

    position_edges: Tensor
    popularity_edges: Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    def of(cls, reference: Places, bins: int) -> Matching:
        """At most `bins` bins in each direction, at quantiles of the reference items."""
        positions = reference.positions.double()
        most = min(bins, max(1, len(reference) // _ITEMS_PER_BIN))
        edges = quantile_edges(positions, most)
        bin_of = torch.bucketize(positions, edges, right=True)
        groups = [positions[bin_of == index] for index in range(len(edges) + 1)]
        return cls(
            position_edges=edges,
            popularity_edges=quantile_edges(reference.popularity.double(), most),
            lowest=torch.stack([group.min() for group in groups]),
            highest=torch.stack([group.max() for group in groups]),
        )

    def design(self, places: Places) -> Tensor:
        """Indicators float64 [n, columns]: a constant, then all position and popularity bins but the first of each."""
        columns = [torch.ones(len(places), 1, dtype=torch.float64)]
        for values, edges in (
            (places.positions, self.position_edges),
            (places.popularity, self.popularity_edges),
        ):
            bin_of = torch.bucketize(values.double(), edges, right=True)
            columns.append(torch.nn.functional.one_hot(bin_of, len(edges) + 1)[:, 1:].double())
        return torch.cat(columns, dim=1)

    def quality(self, places: Places) -> MatchQuality:
        """How far positions lie from the reference positions of the bins they fall into."""
        positions = places.positions.double()
        bin_of = torch.bucketize(positions, self.position_edges, right=True)
        below = (self.lowest[bin_of] - positions).clamp_min(0)
        above = (positions - self.highest[bin_of]).clamp_min(0)
        distance = below + above
        return MatchQuality(float((distance == 0).double().mean()), float(distance.mean()))


def quantile_edges(values: Tensor, bins: int) -> Tensor:
    """Edges of at most `bins` bins with about equally many values, none of them empty; float64 [at most bins - 1].

    A value that equals an edge belongs to the bin above it.
    """
    ordered = values.double().sort().values
    cuts = [ordered[len(ordered) * index // bins] for index in range(1, bins)]
    distinct = sorted({float(cut) for cut in cuts if cut > ordered[0]})
    return torch.tensor(distinct, dtype=torch.float64)
