"""Negative preference optimisation: gradient ascent that fades for items that are already unlikely enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Unpack, get_args

from torch import Tensor

from recommender.choices import Batch
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.losses import LikelihoodUnit
from unlearning.methods.shared.retain_term import RetainedDescentConfig, descend_held
from unlearning.progress import Watched


@dataclass(frozen=True)
class NpoConfig(RetainedDescentConfig):
    """The common fields, and how soon the gradient fades.

    Attributes:
        beta: inverse temperature, above 0; towards 0 the method becomes gradient difference.
        unit: what one comparison with the parent covers: an `item`, or the forget items of a whole window (`sequence`).
            A window holds about a hundred items, each of them a separate label, so its sum would be far from the
            parent's after the first steps. The log-ratio of one item is small, so it needs a beta of 0.5 to 5; the
            papers' 0.1 is meant for sums.

    Raises:
        InvalidMethodConfig: beta not positive, an unknown unit, or a common field out of range.
    """

    beta: float = 1.0
    unit: LikelihoodUnit = "item"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise InvalidMethodConfig(f"beta must be positive, not {self.beta}")
        if self.unit not in get_args(LikelihoodUnit):
            raise InvalidMethodConfig(
                f"unit is {self.unit!r}; choose one of {', '.join(get_args(LikelihoodUnit))}"
            )


@dataclass(frozen=True)
class Npo:
    """Lower the subjects' likelihood below the parent's, the more weakly the lower it already is; plus a retain term.

    The frozen parent is the reference. The first step is that of gradient ascent.
    """

    config: NpoConfig = field(default_factory=NpoConfig)
    name: ClassVar[str] = "npo"
    card: ClassVar[MethodCard] = MethodCard(
        title="NPO",
        paper="arXiv 2404.05868 (Zhang et al.), equation 3",
        cost_class="gradient",
        published_defaults="beta 0.1 on sequences, weights 1 and 1; AdamW, lr 1e-5, batch 16, 10 epochs",
        reconstruction="one comparison per item with beta 1; steps and learning rate for a small adapter; "
        "softmax over items only",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Take `steps` optimiser steps.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        config, parent = self.config, ChoiceModel(task.base, task.adapter)

        def push(student: ChoiceModel, forget: Batch) -> Tensor:
            policy = losses.log_likelihoods(
                student.logits(forget), forget.targets, config.unit, forget.events
            )
            reference = losses.log_likelihoods(
                parent.logits(forget), forget.targets, config.unit, forget.events
            )
            return losses.negative_preference(policy, reference, config.beta)

        return descend_held(task, config, push, references=(parent,), **watched)
