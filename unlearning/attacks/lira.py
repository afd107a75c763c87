"""LiRA, user by user: is this model one of those that saw the user, or one of those that did not?

Likelihood ratio attack of arXiv 2112.03570, Algorithm 1. For unlearning (U-LiRA, arXiv 2403.01218) the IN shadows are
adapters that were fitted with the user and then unlearned by the audited method, the OUT shadows adapters that never
saw the user: who calls decides what was trained, nothing here does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unlearning.attacks.predictions import check_likelihoods
from unlearning.errors import InvalidEvaluation

# Up to about this many shadows the paper found one common variance to serve better than one per example.
OWN_VARIANCE_FROM = 64
# Closest to probability 1 that float32 log-probabilities can be told from it; the logit ends at about 16.
_NEAREST_TO_ONE = -torch.finfo(torch.float32).eps


def confidences(model: Sequence[Tensor]) -> Tensor:
    """The logits ln(p / (1 - p)) of each user's n items, summed and divided by sqrt(n), float64 [users].

    Logits are nearly Gaussian, which p and ln p are not (phi in arXiv 2112.03570). Taking a user's items together is
    ours: the paper attacks single examples. A mean would vary less the more items a user has, and a variance pooled
    over users of all lengths would fit none of them; times sqrt(n) it varies alike, as far as items are independent.
    `model` holds log-probabilities per user.

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

        A user with fewer than `own_variance_from` chosen shadows gets the variance pooled over all users, within users
        and with their degrees of freedom: a variance estimated from a handful of values is wrong by a factor of
        several, and whichever user's came out too small would look certain.

        Raises:
            InvalidEvaluation: shapes that do not fit, numbers that are not finite, a user without a chosen shadow,
                no user with two (nothing tells the variance), or no variation at all.
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
    """What shadow models make of the users they saw (`members`) and of those they did not (`outsiders`).

    The offline attack needs the outsiders alone: fit `Gaussians` to the OUT entries where no IN shadows exist.
    """

    members: Gaussians
    outsiders: Gaussians

    @classmethod
    def fit(
        cls, confidences: Tensor, membership: Tensor, *, own_variance_from: int = OWN_VARIANCE_FROM
    ) -> LiraReference:
        """Fit to `confidences` [shadows, users]; `membership` (bool, likewise) says which shadow saw which user.

        IN and OUT get one variance, the mean of theirs. With two, the wider wins in both tails: a user whom the model
        knows less than any outsider would look like a sure member.

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

        One-sided, as in the paper: a user far below the mean counts as a sure non-member. Whoever looks for
        over-forgetting reads its absolute value.
        """
        return self.outsiders.z(candidate)
