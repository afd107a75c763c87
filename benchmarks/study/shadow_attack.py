"""LiRA against a candidate: whether a user was in the training, judged by shadow fits with and without the user."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from benchmarks.study import orders
from benchmarks.study.deletions import Deletion
from benchmarks.study.workshop import Workshop
from recommender import Adapter, Base
from unlearning.attacks.lira import LiraReference, confidences
from unlearning.attacks.membership import membership_attack
from unlearning.attacks.predictions import item_log_likelihoods


@dataclass(frozen=True)
class ShadowAttack:
    """The attacker's reference for one deletion's subjects (the first `subjects` users) and all outsiders."""

    base: Base
    users: tuple[tuple[int, ...], ...]
    subjects: int
    reference: LiraReference

    @classmethod
    def prepare(cls, workshop: Workshop, deletion: Deletion) -> ShadowAttack:
        """Read the confidence of every shadow fit on these users."""
        base, population = workshop.base, workshop.population
        outside = range(len(population.service), len(population.service) + len(population.outsiders))
        places = (*deletion.places, *outside)
        users = (*deletion.subjects, *(split.train for split in population.outsiders))
        shadows = orders.shadows(population)
        return cls(
            base=base,
            users=users,
            subjects=len(deletion.subjects),
            reference=LiraReference.fit(
                torch.stack(
                    [
                        confidences(item_log_likelihoods(base, workshop.fit(shadow.order).adapter, users))
                        for shadow in shadows
                    ]
                ),
                torch.tensor([[place in shadow.members for place in places] for shadow in shadows]),
            ),
        )

    def figures(self, adapter: Adapter) -> dict[str, Any]:
        """How well the attack tells forgotten subjects from outsiders, with its scores for pooling over seeds."""
        found = confidences(item_log_likelihoods(self.base, adapter, self.users))
        scores = self.reference.log_ratio(found)
        result = membership_attack(scores[: self.subjects], scores[self.subjects :])
        return {
            "lira.auc": result.auc,
            "lira.auc_two_sided": result.auc_two_sided,
            "lira.tpr_at_1_fpr": result.tpr_at_1_fpr,
            "lira.offline_z": fmean(self.reference.offline_z(found)[: self.subjects].tolist()),
            "lira.subject_scores": scores[: self.subjects].tolist(),
            "lira.outsider_scores": scores[self.subjects :].tolist(),
        }
