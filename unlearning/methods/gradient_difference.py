"""Gradient difference: climb on the subjects while descending on the retained users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from unlearning import losses
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.descent import DescentConfig, ItemModel, descend, of_loss
from unlearning.methods.method import Candidate, ForgetTask
from unlearning.methods.windows import Batch
from unlearning.progress import OnStep, ShouldStop

RetainLoss = Literal["cross_entropy", "divergence"]


@dataclass(frozen=True)
class RetainedDescentConfig(DescentConfig):
    """A walk that something holds: L = forget_weight * L_forget + retain_weight * L_retain.

    Attributes:
        forget_weight: gamma of OpenUnlearning, at least 0.
        retain_weight: its alpha, at least 0.
        retain: `cross_entropy` on the retained users, or `divergence`, the KL from the parent there.

    Raises:
        InvalidMethodConfig: a negative weight, or both 0.
    """

    forget_weight: float = 1.0
    retain_weight: float = 1.0
    retain: RetainLoss = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            min(self.forget_weight, self.retain_weight) < 0
            or max(self.forget_weight, self.retain_weight) == 0
        ):
            raise InvalidMethodConfig(
                f"forget_weight and retain_weight must be at least 0 and not both 0: {self}"
            )


@dataclass(frozen=True)
class GradientDifferenceConfig(RetainedDescentConfig):
    """The common fields and nothing else."""


@dataclass(frozen=True)
class GradientDifference:
    """Minimise -NLL on the subjects plus a retain term."""

    config: GradientDifferenceConfig = field(default_factory=GradientDifferenceConfig)
    name: ClassVar[str] = "gradient_difference"
    exact: ClassVar[bool] = False
    card: ClassVar[MethodCard] = MethodCard(
        title="GradDiff",
        paper="arXiv 2203.12817 (Liu et al.); settings of OpenUnlearning, arXiv 2506.12618",
        cost_class="gradient",
        published_defaults="gamma 1, alpha 1, retain by NLL; AdamW, lr 1e-5, 10 epochs (OpenUnlearning)",
        reconstruction="steps and learning rate for a small adapter; softmax over items only",
    )

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Walk for `steps` steps.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        holder = RetainTerm(task, self.config)

        def loss(student: ItemModel, forget: Batch, retain: Batch) -> Tensor:
            climb = losses.gradient_ascent(student.logits(forget), forget.targets)
            return self.config.forget_weight * climb + holder(student, retain)

        return descend(
            task,
            self.config,
            of_loss(loss),
            references=holder.references,
            on_step=on_step,
            should_stop=should_stop,
        )


class RetainTerm:
    """`retain_weight * L_retain` as the configuration says; attaches the parent only if it is needed."""

    def __init__(self, task: ForgetTask, config: RetainedDescentConfig) -> None:
        self._config = config
        needs_parent = config.retain == "divergence" and config.retain_weight > 0
        self.references: tuple[ItemModel, ...] = (ItemModel(task.base, task.adapter),) if needs_parent else ()

    def __call__(self, student: ItemModel, retain: Batch) -> Tensor | float:
        """The weighted term, 0 if its weight is."""
        if self._config.retain_weight == 0:
            return 0.0
        logits = student.logits(retain)
        if self.references:
            held = losses.divergence_from(self.references[0].logits(retain), logits, retain.targets)
        else:
            held = losses.cross_entropy(logits, retain.targets)
        return self._config.retain_weight * held
