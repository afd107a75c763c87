"""The retain term: the part of a loss that protects the retained users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Unpack, get_args

import torch
from torch import Tensor

from recommender.choices import Batch
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.method import Candidate, ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel, DescentConfig, descend, of_loss
from unlearning.progress import Watched

RetainLoss = Literal["cross_entropy", "divergence"]


@dataclass(frozen=True)
class RetainedDescentConfig(DescentConfig):
    """Descent on L = forget_weight * L_forget + retain_weight * L_retain.

    Attributes:
        forget_weight: gamma of OpenUnlearning, at least 0.
        retain_weight: its alpha, at least 0.
        retain: `cross_entropy` on the retained users, or `divergence`, the KL from the parent there.

    Raises:
        InvalidMethodConfig: a negative weight, both 0, or an unknown retain loss.
    """

    forget_weight: float = 1.0
    retain_weight: float = 1.0
    retain: RetainLoss = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = (self.forget_weight, self.retain_weight)
        # Written so that a NaN is refused too.
        if not (all(weight >= 0 for weight in weights) and any(weights)):
            raise InvalidMethodConfig(
                f"forget_weight and retain_weight must be at least 0 and not both 0: {self}"
            )
        if self.retain not in get_args(RetainLoss):
            raise InvalidMethodConfig(
                f"retain is {self.retain!r}; choose one of {', '.join(get_args(RetainLoss))}"
            )


class RetainTerm:
    """`retain_weight * L_retain`, with the parent attached only if the configuration needs it."""

    def __init__(self, task: ForgetTask, config: RetainedDescentConfig) -> None:
        self._config = config
        needs_parent = config.retain == "divergence" and config.retain_weight > 0
        self.references: tuple[ChoiceModel, ...] = (
            (ChoiceModel(task.base, task.adapter),) if needs_parent else ()
        )

    def __call__(self, student: ChoiceModel, retain: Batch) -> Tensor:
        """The weighted term; 0 without a forward pass if its weight is 0."""
        if self._config.retain_weight == 0:
            return torch.zeros(())
        logits = student.logits(retain)
        if self.references:
            held = losses.divergence_from(self.references[0].logits(retain), logits, retain.targets)
        else:
            held = losses.cross_entropy(logits, retain.targets)
        return self._config.retain_weight * held


def descend_held(
    task: ForgetTask,
    config: RetainedDescentConfig,
    forget_loss: Callable[[ChoiceModel, Batch], Tensor],
    *,
    references: tuple[ChoiceModel, ...] = (),
    **watched: Unpack[Watched],
) -> Candidate:
    """`descend` on forget_weight * `forget_loss` + the retain term.

    `references` are the models that `forget_loss` uses; their forwards are added to the cost.

    Raises:
        Interrupted: `should_stop` answered yes between two steps.
    """
    holder = RetainTerm(task, config)

    def loss(student: ChoiceModel, forget: Batch, retain: Batch) -> Tensor:
        return config.forget_weight * forget_loss(student, forget) + holder(student, retain)

    return descend(
        task,
        config,
        of_loss(loss),
        references=references + holder.references,
        **watched,
    )
