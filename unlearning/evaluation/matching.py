"""Matching of a subject's training items with held-out items of others, by position and by popularity.

Held-out items are the latest of each user and rarer than the rest, and early or popular items gain differently.
Matching in bins of both covariates compares items with similar ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# With fewer held-out items in a bin, its mean would be as uncertain as a single user's.
_ITEMS_PER_BIN = 20


@dataclass(frozen=True)
class MatchQuality:
    """How well positions are matched: the share within the range of their bin, and the mean distance (events) to it."""

    share_matched: float
    mean_distance: float


@dataclass(frozen=True)
class Covariates:
    """Covariates of n items, int64 [n] each.

    `positions` counts the events before an item, `popularity` the users who met it.
    """

    positions: Tensor
    popularity: Tensor

    def __len__(self) -> int:
        """Number of items."""
        return len(self.positions)

    def chosen(self, marks: Sequence[bool]) -> Covariates:
        """The covariates of the marked items."""
        wanted = torch.tensor(marks)
        return Covariates(self.positions[wanted], self.popularity[wanted])


@dataclass(frozen=True)
class Matching:
    """Bins of the reference items, divided at `position_edges` and `popularity_edges`.

    `lowest` and `highest` are the range of reference positions in each position bin.
    """

    position_edges: Tensor
    popularity_edges: Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    def of(cls, reference: Covariates, bins: int) -> Matching:
        """At most `bins` bins of position and as many of popularity, at quantiles of the reference items."""
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

    def design(self, covariates: Covariates) -> Tensor:
        """Design matrix float64 [n, columns]: a constant, then indicators of each covariate's bins but the first."""
        columns = [torch.ones(len(covariates), 1, dtype=torch.float64)]
        for values, edges in (
            (covariates.positions, self.position_edges),
            (covariates.popularity, self.popularity_edges),
        ):
            bin_of = torch.bucketize(values.double(), edges, right=True)
            columns.append(torch.nn.functional.one_hot(bin_of, len(edges) + 1)[:, 1:].double())
        return torch.cat(columns, dim=1)

    def quality(self, covariates: Covariates) -> MatchQuality:
        """How far positions lie from the reference positions of their bins."""
        positions = covariates.positions.double()
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
