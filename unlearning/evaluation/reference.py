"""What somebody the adapter never saw would gain, and what being remembered adds. Our construction.

A never-member's mean gain over n items has

* an expectation: that of held-out items of retained users, which no training saw, matched by position and popularity;
* a variance between + within / n, estimated from the retained users' mean gains over their own training items, around
  the mean of users with about as many. Taste lifts or lowers all gains of a user together; what memory adds to all of
  them alike drops out. The covariance of a user's two held-out gains would be the obvious estimate of `between`, but
  the two are neighbours and share a session: on MovieLens-100K it makes the band almost twice too wide (see
  docs/benchmarks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.matching import Matching, Places, quantile_edges

_LENGTH_CLASSES, _USERS_PER_CLASS = 5, 20


@dataclass(frozen=True)
class RetainedGains:
    """Gains of retained users under one model, float64.

    `held_out` [users, 2] are those of each user's two held-out items; `held_out_places` are theirs, user by user
    [2 * users]. `members` holds per user the gains of its training items in time order, `member_places` where they
    stand.
    """

    held_out: Tensor
    held_out_places: Places
    members: Sequence[Tensor]
    member_places: Sequence[Places]

    def __post_init__(self) -> None:
        users = len(self.held_out)
        if users < 2 or self.held_out.shape != (users, 2) or len(self.held_out_places) != 2 * users:
            raise InvalidEvaluation("the membership reference needs two held-out items of at least two users")
        if not users == len(self.members) == len(self.member_places):
            raise InvalidEvaluation("every retained user needs gains on training and on held-out items")


@dataclass(frozen=True)
class NonMemberReference:
    """What a never-member would show under one model.

    `coefficients` give the expected gain through `matching`; `residuals` [2 * users] are held-out gains minus it;
    `mean_variance` is the variance of the residuals' mean, shared by every comparison with the reference.
    `memory` [classes] is how far the mean gain of members of each length class, split at `length_edges`, exceeds
    the expectation. `member_gains` are the retained users' gains on their training items minus the expectation at
    each item's place, one float64 [items] per user.
    """

    matching: Matching
    coefficients: Tensor
    residuals: Tensor
    mean_variance: float
    between: float
    within: float
    length_edges: Tensor
    memory: Tensor
    member_gains: tuple[Tensor, ...]
    users: int

    @classmethod
    def fit(cls, gains: RetainedGains, bins: int) -> NonMemberReference:
        """Summarise retained users; at most `bins` bins of position and as many of popularity."""
        users = len(gains.held_out)
        matching = Matching.of(gains.held_out_places, bins)
        design = matching.design(gains.held_out_places)
        flat = gains.held_out.flatten()
        # Least squares of minimal norm: bins that always come together leave the design without full rank.
        coefficients = torch.linalg.lstsq(design, flat.unsqueeze(1), driver="gelsd").solution.squeeze(1)
        residuals = flat - design @ coefficients
        excess = [
            own - matching.design(places) @ coefficients
            for own, places in zip(gains.members, gains.member_places, strict=True)
        ]
        counts = torch.tensor([len(own) for own in excess], dtype=torch.float64)
        edges = quantile_edges(counts, min(_LENGTH_CLASSES, max(1, users // _USERS_PER_CLASS)))
        class_of = torch.bucketize(counts, edges, right=True)
        means = torch.stack([own.mean() for own in excess])
        memory = torch.stack([means[class_of == index].mean() for index in range(len(edges) + 1)])
        between, within = variance_components(excess, memory[class_of])
        return cls(
            matching=matching,
            coefficients=coefficients,
            residuals=residuals,
            mean_variance=float(residuals.reshape(users, 2).mean(1).square().mean()) / users,
            between=between,
            within=within,
            length_edges=edges,
            memory=memory,
            member_gains=tuple(excess),
            users=users,
        )

    def expected(self, places: Places) -> Tensor:
        """Mean gain of a never-member at each place, float64 [n]; the nearest bins outside the reference's range."""
        return self.matching.design(places) @ self.coefficients

    def memory_of(self, items: int) -> float:
        """What being remembered adds to the mean gain of a member with this many training items, in nats."""
        index = torch.bucketize(
            torch.tensor(float(items), dtype=torch.float64), self.length_edges, right=True
        )
        return float(self.memory[index])

    def deviation(self, items: Sequence[int]) -> float:
        """Standard deviation of the mean over never-members of their mean gains, around its expectation.

        One entry of `items` per never-member: how many items its mean is taken over.
        """
        spread = sum(self.between + self.within / count for count in items) / len(items) ** 2
        return math.sqrt(spread + self.mean_variance)


def variance_components(gains: Sequence[Tensor], levels: Tensor) -> tuple[float, float]:
    """(between, within) such that a user's mean over n items varies by between + within / n around its level.

    Method of moments: `within` is the mean variance of a user's items, `between` what the users' means vary around
    `levels` [users] beyond its share of that.
    """
    spread = [own.var() for own in gains if len(own) > 1]
    within = float(torch.stack(spread).mean()) if spread else 0.0
    means = torch.stack([own.mean() for own in gains])
    counts = torch.tensor([len(own) for own in gains], dtype=torch.float64)
    excess = (means - levels).square() - within / counts
    # A negative estimate means that users differ by less than chance alone would show.
    return max(float(excess.mean()), 0.0), within
