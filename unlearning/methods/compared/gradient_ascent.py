"""Gradient ascent: raise the training loss on the subjects, with nothing to protect the retained users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Unpack

from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import DescentConfig, descend, of_loss
from unlearning.progress import Watched


@dataclass(frozen=True)
class GradientAscentConfig(DescentConfig):
    """The optimiser's fields alone."""

    steps: int = 10


@dataclass(frozen=True)
class GradientAscent:
    """Minimise -NLL on the subjects, without a retain term.

    The loss is unbounded: with enough steps every figure collapses, so everything depends on the number of steps.

    Measured (docs/benchmarks): accepted for most single users. It loses to the uniform shrink and to training on the
    retained users alone in `interactions-25`, and to every control after twenty requests in `sequence`.
    """

    config: GradientAscentConfig = field(default_factory=GradientAscentConfig)
    name: ClassVar[str] = "gradient_ascent"
    card: ClassVar[MethodCard] = MethodCard(
        title="Gradient ascent",
        paper="arXiv 2210.01504 (Jang et al.); settings of OpenUnlearning, arXiv 2506.12618",
        cost_class="gradient",
        published_defaults="AdamW, lr 1e-5, effective batch 32, 10 epochs (OpenUnlearning, full fine-tuning)",
        reconstruction="steps and learning rate for a small adapter; softmax over items only",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Take `steps` optimiser steps.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        gradient = of_loss(
            lambda student, forget, _: losses.gradient_ascent(student.logits(forget), forget.targets)
        )
        return descend(task, self.config, gradient, **watched)
