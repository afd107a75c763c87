"""The reference: the gains that a never-member would show, and what being remembered adds. Our construction.

A never-member's mean gain over n items has

* an expectation: that of held-out items of retained users, which no training saw, matched by position and popularity;
* a variance between + within / n, estimated from the retained users' mean gains over their own training items. Each
  mean is compared with the mean of users who have about as many items, so that what memory adds to all of them cancels;
  the users' tastes, which raise or lower all gains of a user together, remain. The covariance of a user's two held-out
  gains would be the obvious estimate of `between`. But these two items are consecutive and share a session: on
  MovieLens-100K that estimate makes the band almost twice too wide (see docs/benchmarks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.matching import Covariates, Matching, quantile_edges

_LENGTH_CLASSES, _USERS_PER_CLASS = 5, 20


@dataclass(frozen=True)
class RetainedGains:
    """Gains of retained users under one model, float64.

    `held_out` [users, 2] are the gains of each user's two held-out items, `held_out_covariates` [2 * users] their
    covariates, user by user. `members` holds each user's gains of training items in time order, `member_covariates`
    the covariates of these items.
    """

    held_out: Tensor
    held_out_covariates: Covariates
    members: Sequence[Tensor]
    member_covariates: Sequence[Covariates]

    def __post_init__(self) -> None:
        users = len(self.held_out)
        if users < 2 or self.held_out.shape != (users, 2) or len(self.held_out_covariates) != 2 * users:
            raise InvalidEvaluation("the membership reference needs two held-out items of at least two users")
        if not users == len(self.members) == len(self.member_covariates):
            raise InvalidEvaluation("every retained user needs gains on training and on held-out items")


@dataclass(frozen=True)
class NonMemberReference:
    """The gains that a never-member would show under one model.

    Attributes:
        matching: bins of the covariates.
        coefficients: of the expected gain, on `matching.design`.
        residuals: [2 * users], held-out gains minus the expected gain.
        mean_variance: variance of the residuals' mean, an error that all comparisons with the reference share.
        between, within: components of the variance of a user's mean gain, see `variance_components`.
        length_edges: edges of the classes of history length.
        memory: [classes], by how much the mean gain of members of each class exceeds the expectation.
        member_gains: gains on training items minus the expected gain at each item, one float64 [items] per retained
            user.
        users: number of retained users.
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
        """Fit the reference to retained users, with at most `bins` bins of position and as many of popularity."""
        users = len(gains.held_out)
        matching = Matching.of(gains.held_out_covariates, bins)
        design = matching.design(gains.held_out_covariates)
        flat = gains.held_out.flatten()
        # Minimum-norm least squares, because bins that always occur together make the design rank-deficient.
        coefficients = torch.linalg.lstsq(design, flat.unsqueeze(1), driver="gelsd").solution.squeeze(1)
        residuals = flat - design @ coefficients
        excess = [
            own - matching.design(covariates) @ coefficients
            for own, covariates in zip(gains.members, gains.member_covariates, strict=True)
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

    def expected(self, covariates: Covariates) -> Tensor:
        """A never-member's expected gain for each item, float64 [n]; beyond the reference's range, the nearest bin."""
        return self.matching.design(covariates) @ self.coefficients

    def memory_of(self, items: int) -> float:
        """How much being remembered adds to the mean gain of a member with this many training items, in nats."""
        index = torch.bucketize(
            torch.tensor(float(items), dtype=torch.float64), self.length_edges, right=True
        )
        return float(self.memory[index])

    def deviation(self, items: Sequence[int]) -> float:
        """Standard deviation, around its expectation, of the mean over never-members of their mean gains.

        `items` holds the number of items of each never-member.
        """
        spread = sum(self.between + self.within / count for count in items) / len(items) ** 2
        return math.sqrt(spread + self.mean_variance)


def variance_components(gains: Sequence[Tensor], levels: Tensor) -> tuple[float, float]:
    """(between, within) such that a user's mean over n items has the variance between + within / n around its level.

    Method of moments: `within` is the mean variance of a user's items; `between` is the variance of the users' means
    around `levels` [users], minus within / n.
    """
    spread = [own.var() for own in gains if len(own) > 1]
    within = float(torch.stack(spread).mean()) if spread else 0.0
    means = torch.stack([own.mean() for own in gains])
    counts = torch.tensor([len(own) for own in gains], dtype=torch.float64)
    excess = (means - levels).square() - within / counts
    # A negative estimate means that users differ by less than chance alone explains.
    return max(float(excess.mean()), 0.0), within
