"""LiRA, user by user: did this model see the user or not?

Likelihood ratio attack of arXiv 2112.03570, Algorithm 1. For unlearning (U-LiRA, arXiv 2403.01218) the IN shadows are
adapters that were fitted with the user and then unlearned by the method under attack. The OUT shadows are adapters
that never saw the user. The caller trains all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unlearning.attacks.predictions import check_likelihoods
from unlearning.errors import InvalidEvaluation

# With fewer shadows than about this, the paper found one common variance better than one per example.
OWN_VARIANCE_FROM = 64
# The largest float32 log-probability that differs from that of probability 1; logits end at about 16.
_NEAREST_TO_ONE = -torch.finfo(torch.float32).eps


def confidences(model: Sequence[Tensor]) -> Tensor:
    """The logits ln(p / (1 - p)) of each user's n items, summed and divided by sqrt(n), float64 [users].

    `model` holds log-probabilities per user. Logits are nearly Gaussian, which p and ln p are not (phi in arXiv
    2112.03570). The paper attacks single examples; combining a user's items is ours. The mean over a user's items
    varies less the more items there are, so one variance pooled over all users would fit none of them. The sum divided
    by sqrt(n) varies equally for every n, as far as items are independent.

    Raises:
        InvalidEvaluation: see `check_likelihoods`.
    """
    check_likelihoods(model)
    totals = []
    for user in model:
        log_p = user.double().clamp(max=_NEAREST_TO_ONE)
        totals.append((log_p - torch.log(-torch.expm1(log_p))).sum() / math.sqrt(len(log_p)))
    return torch.stack(totals)


@dataclass(frozen=True)
class Gaussians:
    """One normal distribution per user: `means` and `deviations`, float64 [users]."""

    means: Tensor
    deviations: Tensor

    @classmethod
    def fit(
        cls, confidences: Tensor, chosen: Tensor, *, own_variance_from: int = OWN_VARIANCE_FROM
    ) -> Gaussians:
        """Fit to the `chosen` (bool) entries of `confidences`, both [shadows, users].

        A user with fewer than `own_variance_from` chosen shadows gets the within-user variance pooled over all users,
        weighted by degrees of freedom. A variance estimated from a handful of values is wrong by a factor of several,
        and users whose estimate is too small would look certain.

        Raises:
            InvalidEvaluation: shapes that do not fit, numbers that are not finite, a user without a chosen shadow,
                no user with two (so that no variance can be estimated), or no variation at all.
        """
        if confidences.ndim != 2 or confidences.shape != chosen.shape or not confidences.numel():
            raise InvalidEvaluation("confidences and membership must both be [shadows, users], not empty")
        if chosen.dtype != torch.bool or not bool(torch.isfinite(confidences).all()):
            raise InvalidEvaluation("membership must be true or false, and confidences finite")
        counts = chosen.sum(0)
        if not bool(counts.all()):
            raise InvalidEvaluation(f"user {int(counts.argmin())} has no shadow of one of the two kinds")
        weights = chosen.double()
        means = (confidences.double() * weights).sum(0) / counts
        squares = ((confidences.double() - means).square() * weights).sum(0)
        freedom = counts - 1
        if not int(freedom.sum()):
            raise InvalidEvaluation("no user has two shadows of one kind: nothing tells how much they vary")
        pooled = squares.sum() / freedom.sum()
        variances = torch.where(counts >= own_variance_from, squares / freedom.clamp(min=1), pooled)
        if not bool((variances > 0).all()):
            raise InvalidEvaluation("shadows that do not vary tell nothing: are they copies of one adapter?")
        return cls(means, variances.sqrt())

    def z(self, candidate: Tensor) -> Tensor:
        """How many deviations `candidate` [users] lies above each user's mean, float64 [users]."""
        return (candidate.double() - self.means) / self.deviations

    def log_density(self, candidate: Tensor) -> Tensor:
        """Natural logarithm of each user's density at `candidate` [users], float64 [users]."""
        return -0.5 * self.z(candidate).square() - self.deviations.log() - 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class LiraReference:
    """Distributions of the confidences of users a shadow saw (`members`) and of users it did not see (`outsiders`).

    The offline attack needs `outsiders` alone: where no IN shadows exist, fit `Gaussians` to the OUT entries.
    """

    members: Gaussians
    outsiders: Gaussians

    @classmethod
    def fit(
        cls, confidences: Tensor, membership: Tensor, *, own_variance_from: int = OWN_VARIANCE_FROM
    ) -> LiraReference:
        """Fit to `confidences` [shadows, users]; `membership` (bool, likewise) says which shadow saw which user.

        IN and OUT share one variance, the mean of the two. With two different variances the wider distribution has the
        higher density in both tails: a user whom the model predicts worse than any outsider would look like a sure
        member.

        Raises:
            InvalidEvaluation: a user has no IN or no OUT shadow, or see `Gaussians.fit`.
        """
        if membership.dtype != torch.bool:
            raise InvalidEvaluation("membership must be true or false")
        members, outsiders = (
            Gaussians.fit(confidences, chosen, own_variance_from=own_variance_from)
            for chosen in (membership, ~membership)
        )
        common = ((members.deviations.square() + outsiders.deviations.square()) / 2).sqrt()
        return cls(replace(members, deviations=common), replace(outsiders, deviations=common))

    def log_ratio(self, candidate: Tensor) -> Tensor:
        """ln(density IN / density OUT) at `candidate` [users], float64 [users]; high looks like a member."""
        return self.members.log_density(candidate) - self.outsiders.log_density(candidate)

    def offline_z(self, candidate: Tensor) -> Tensor:
        """The offline attack's statistic, float64 [users]: deviations above the OUT mean; high looks like a member.

        One-sided, as in the paper: a user far below the mean counts as a sure non-member. Use the absolute value to
        look for over-forgetting.
        """
        return self.outsiders.z(candidate)
