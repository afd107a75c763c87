"""The tail check: with the right mean gain, a few items may still be remembered well. Hiding is not forgetting.

The best-remembered fifth of a subject's items is compared with the best fifth of as many held-out items of retained
users. Both are centred first, so that only the shape is judged; the membership band judges the mean.

Held-out items are the latest of each user. Training items also have positions that no held-out item has, for which the
expected gain is less accurate. Their tails are therefore higher although nothing is hidden, and equally so in a model
that never saw the user. So the tails of the retained users' training items, under the same model, calibrate the mean
and the deviation. These users are remembered, but by all of their items and not by a few. Our construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

import torch
from torch import Tensor

from unlearning.evaluation.report import TailGain

_PARTS = 5
_RESAMPLES = 500
# More retained users than this hardly change the mean and the deviation.
_MOST_MEMBERS = 100


def top_fifth(gains: Tensor) -> Tensor:
    """Mean of the highest fifth (rounded down, at least one) minus the mean of all, float64 [..., n] to [...]."""
    count = max(1, gains.shape[-1] // _PARTS)
    return gains.topk(count, dim=-1).values.mean(-1) - gains.mean(-1)


class TailReference:
    """The tails of never-members: seeded draws with replacement from held-out `residuals` [m] of retained users.

    `members` are retained users' relative gains on their training items, one tensor [items] each. At most 100 of them,
    evenly spread, calibrate the mean (`shift`) and the deviation (`unit`).
    """

    def __init__(self, residuals: Tensor, members: Sequence[Tensor], seed: int) -> None:
        self._residuals = residuals
        self._seed = seed
        self._known: dict[int, tuple[float, float]] = {}
        self.shift, self.unit = self._calibration(members)

    def moments(self, items: int) -> tuple[float, float]:
        """Mean and variance of `top_fifth` over this many residuals, before the calibration by members."""
        if items not in self._known:
            generator = torch.Generator().manual_seed(self._seed)
            chosen = torch.randint(len(self._residuals), (_RESAMPLES, items), generator=generator)
            tails = top_fifth(self._residuals[chosen])
            self._known[items] = float(tails.mean()), float(tails.var())
        return self._known[items]

    def tail(self, relative: Sequence[Tensor]) -> TailGain | None:
        """The evidence from subjects' relative gains, one tensor [items] each; None if no subject has five items."""
        enough = [own for own in relative if len(own) >= _PARTS]
        if not enough:
            return None
        moments = [self.moments(len(own)) for own in enough]
        # The reference is itself a sample of m: as uncertain as the tail of one never-member with m items.
        shared = fmean(
            variance * len(own) / len(self._residuals)
            for own, (_, variance) in zip(enough, moments, strict=True)
        )
        own_variance = self.unit**2 * sum(variance for _, variance in moments) / len(enough) ** 2
        return TailGain(
            items=sum(map(len, enough)),
            gain=fmean(float(top_fifth(own)) for own in enough),
            expected=fmean(mean + self.shift * math.sqrt(variance) for mean, variance in moments),
            deviation=math.sqrt(own_variance + shared),
        )

    def _calibration(self, members: Sequence[Tensor]) -> tuple[float, float]:
        """Mean and deviation (at least 1) of the members' z scores in the distribution of the draws."""
        enough = [own for own in members if len(own) >= _PARTS]
        scores = []
        for own in enough[:: math.ceil(len(enough) / _MOST_MEMBERS) or 1]:
            mean, variance = self.moments(len(own))
            if variance > 0:
                scores.append((float(top_fifth(own)) - mean) / math.sqrt(variance))
        return (fmean(scores), max(stdev(scores), 1.0)) if len(scores) > 1 else (0.0, 1.0)
