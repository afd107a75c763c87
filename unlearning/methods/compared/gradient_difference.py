"""Gradient difference: raise the loss on the subjects and lower it on the retained users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Unpack

from torch import Tensor

from recommender.choices import Batch
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.retain_term import RetainedDescentConfig, descend_held
from unlearning.progress import Watched


@dataclass(frozen=True)
class GradientDifferenceConfig(RetainedDescentConfig):
    """The common fields alone."""


@dataclass(frozen=True)
class GradientDifference:
    """Minimise -NLL on the subjects plus a retain term.

    Measured (docs/benchmarks): it loses to doing nothing in `users-5` and `users-1`, tuned on other users of `users-5`.
    """

    config: GradientDifferenceConfig = field(default_factory=GradientDifferenceConfig)
    name: ClassVar[str] = "gradient_difference"
    card: ClassVar[MethodCard] = MethodCard(
        title="GradDiff",
        paper="arXiv 2203.12817 (Liu et al.); settings of OpenUnlearning, arXiv 2506.12618",
        cost_class="gradient",
        published_defaults="gamma 1, alpha 1, retain by NLL; AdamW, lr 1e-5, 10 epochs (OpenUnlearning)",
        reconstruction="steps and learning rate for a small adapter; softmax over items only",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Take `steps` optimiser steps.

        Raises:
            Interrupted: `should_stop` answered yes.
        """

        def climb(student: ChoiceModel, forget: Batch) -> Tensor:
            return losses.gradient_ascent(student.logits(forget), forget.targets)

        return descend_held(task, self.config, climb, **watched)
