"""Hiding is not forgetting: a mean gain at the right level may still hold a few items that are remembered well.

The best-remembered fifth of a subject's items is compared with the best fifth of as many held-out items of retained
users. Both are centred first, so that only the shape is judged; the level is the membership band's business. Our
construction. The reference pools many users, whose levels differ, so it is rather too wide than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from unlearning.evaluation.report import TailGain

_PARTS = 5
_RESAMPLES = 500


def top_fifth(gains: Tensor) -> Tensor:
    """Mean of the highest fifth (rounded down, at least one) less the mean of all, float64 [..., n] to [...]."""
    count = max(1, gains.shape[-1] // _PARTS)
    return gains.topk(count, dim=-1).values.mean(-1) - gains.mean(-1)


class TailReference:
    """What never-members show, from held-out `residuals` [m] of retained users: draws with replacement, by a seed."""

    def __init__(self, residuals: Tensor, seed: int) -> None:
        self._residuals = residuals
        self._seed = seed
        self._known: dict[int, tuple[float, float]] = {}

    def moments(self, items: int) -> tuple[float, float]:
        """Mean and variance of `top_fifth` over a never-member's `items` items."""
        if items not in self._known:
            generator = torch.Generator().manual_seed(self._seed)
            chosen = torch.randint(len(self._residuals), (_RESAMPLES, items), generator=generator)
            tails = top_fifth(self._residuals[chosen])
            self._known[items] = float(tails.mean()), float(tails.var())
        return self._known[items]

    def tail(self, relative: Sequence[Tensor]) -> TailGain | None:
        """The evidence on subjects by their relative gains, one tensor [items] each; None if none has five items."""
        enough = [own for own in relative if len(own) >= _PARTS]
        if not enough:
            return None
        counts = [len(own) for own in enough]
        expected, variances = zip(*(self.moments(count) for count in counts), strict=True)
        # The reference is itself a sample of m: as uncertain as the tail of one never-member with m items.
        shared = fmean(
            variance * count / len(self._residuals) for variance, count in zip(variances, counts, strict=True)
        )
        return TailGain(
            items=sum(counts),
            gain=fmean(float(top_fifth(own)) for own in enough),
            expected=fmean(expected),
            deviation=math.sqrt(sum(variances) / len(enough) ** 2 + shared),
        )
