"""Population attacks: one score per user or item, one threshold for everybody.

A high score suggests a member. These attacks need no shadow models, so they understate what a better informed attacker
learns (arXiv 2403.01218): passing them is necessary, not sufficient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender.pointwise import area_under_curve
from unlearning.attacks.predictions import check_likelihoods
from unlearning.errors import InvalidEvaluation

FALSE_POSITIVES_PER_HUNDRED = 1


@dataclass(frozen=True)
class Group:
    """Users as the attacked model and the bare base predict them: log-probabilities [items], one tensor per user.

    Raises:
        InvalidEvaluation: see `check_likelihoods`.
    """

    model: Sequence[Tensor]
    base: Sequence[Tensor]

    def __post_init__(self) -> None:
        check_likelihoods(self.model, self.base)


@dataclass(frozen=True)
class AttackResult:
    """How well a score separates members from non-members.

    Attributes:
        auc: probability that a member scores higher than a non-member, ties counting half; 0.5 is chance.
        auc_two_sided: max(auc, 1 - auc). Over-forgotten members score suspiciously low, and an attacker who knows
            that inverts the score.
        tpr_at_1_fpr: share of members above the lowest threshold that at most 1 % of the non-members exceed. With
            fewer than 100 non-members, none may exceed it. A member that ties with the threshold does not count.
        tpr_floor: mean `tpr_at_1_fpr` of a score without information: (allowed + 1) / (non-members + 1), where
            `allowed` is the number of false positives. It is above 1 % because the threshold is estimated from these
            non-members: with 20 of them it is 4.8 %. Compare `tpr_at_1_fpr` with this and not with 1 %.
        members: number of members' scores.
        non_members: number of non-members' scores.
    """

    auc: float
    auc_two_sided: float
    tpr_at_1_fpr: float
    tpr_floor: float
    members: int
    non_members: int


def membership_attack(members: Tensor, non_members: Tensor) -> AttackResult:
    """Compare scores [members] with scores [non-members]; the scores are of users or of items, as the caller chooses.

    Raises:
        InvalidEvaluation: either side is empty or holds a score that is not finite.
    """
    for scores in (members, non_members):
        if scores.ndim != 1 or not len(scores) or not bool(torch.isfinite(scores).all()):
            raise InvalidEvaluation("an attack needs finite scores of at least one member and one non-member")
    positives, negatives = members.double(), non_members.double()
    auc = area_under_curve(positives, negatives)
    allowed = len(negatives) * FALSE_POSITIVES_PER_HUNDRED // 100
    threshold = negatives.sort(descending=True).values[allowed]
    return AttackResult(
        auc=auc,
        auc_two_sided=max(auc, 1.0 - auc),
        tpr_at_1_fpr=float((positives > threshold).double().mean()),
        tpr_floor=(allowed + 1) / (len(negatives) + 1),
        members=len(positives),
        non_members=len(negatives),
    )


def population_attacks(
    members: Group, non_members: Group, *, min_k: float = 0.2
) -> Mapping[str, AttackResult]:
    """Every attack by user and by item, as `<attack>.user` and `<attack>.item`. Min-K exists by user only.

    Raises:
        InvalidEvaluation: `min_k` lies outside (0, 1].
    """
    scores = (_scores(members, min_k), _scores(non_members, min_k))
    return {name: membership_attack(scores[0][name], scores[1][name]) for name in scores[0]}


def loss_scores(model: Sequence[Tensor]) -> Tensor:
    """LOSS: mean log-probability per user, float64 [users] (arXiv 1709.01604; negative of the mean NLL)."""
    return torch.stack([user.double().mean() for user in model])


def calibrated_scores(model: Sequence[Tensor], base: Sequence[Tensor]) -> Tensor:
    """NLL_base - NLL, mean per user, float64 [users]: the reference attack with the bare base as the reference.

    Calibration removes how hard an item is for a model that never saw the user (arXiv 2111.08440).
    """
    return loss_scores(model) - loss_scores(base)


def min_k_scores(model: Sequence[Tensor], k: float = 0.2) -> Tensor:
    """Min-K% Prob: mean of the lowest share `k` of each user's log-probabilities, float64 [users].

    arXiv 2310.16789. The number of items is rounded down, to at least one.

    Raises:
        InvalidEvaluation: `k` lies outside (0, 1].
    """
    if not 0.0 < k <= 1.0:
        raise InvalidEvaluation(f"k of Min-K is a share in (0, 1], not {k}")
    means = []
    for user in model:
        # 1e-9 compensates for the rounding of binary fractions: 0.29 of 100 items is 29, not 28.
        count = max(1, math.floor(k * len(user) + 1e-9))
        means.append(user.double().sort().values[:count].mean())
    return torch.stack(means)


def _scores(group: Group, min_k: float) -> dict[str, Tensor]:
    model, base = (torch.cat(list(users)).double() for users in (group.model, group.base))
    return {
        "loss.user": loss_scores(group.model),
        "loss.item": model,
        "base_calibrated.user": calibrated_scores(group.model, group.base),
        "base_calibrated.item": model - base,
        "min_k.user": min_k_scores(group.model, min_k),
    }
