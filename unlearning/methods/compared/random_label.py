"""Random labels: train the model to give random other answers for the subjects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Unpack

import torch
from torch import Tensor

from recommender.choices import IGNORED, Batch
from unlearning.errors import InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.retain_term import RetainedDescentConfig, descend_held
from unlearning.progress import Watched

# The forget and retain windows use the task's seed and the next one.
_LABEL_SEED_OFFSET = 2


@dataclass(frozen=True)
class RandomLabelConfig(RetainedDescentConfig):
    """The common fields, with the published weight of the subjects."""

    forget_weight: float = 0.2


@dataclass(frozen=True)
class RandomLabel:
    """Minimise the NLL of random other items at the subjects' positions, plus a retain term.

    Every position gets a new item at every step, uniform over the catalogue without the true item. Over the steps the
    model learns not to know the answer, instead of one wrong answer. The loss is bounded below, unlike gradient
    ascent's.
    """

    config: RandomLabelConfig = field(default_factory=RandomLabelConfig)
    name: ClassVar[str] = "random_label"
    card: ClassVar[MethodCard] = MethodCard(
        title="Random labels",
        paper="arXiv 2010.10981 (Graves et al.); settings of the baseline RL of E2URec, arXiv 2403.03536",
        cost_class="gradient",
        published_defaults="CE(retain) + 0.2 CE(forget, flipped yes/no answer); full fine-tuning, lr 5e-5, "
        "2400 steps (E2URec)",
        reconstruction="a random other item in place of the flipped answer, redrawn at every step; steps and "
        "learning rate for a small adapter",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Take `steps` optimiser steps.

        Raises:
            InvalidTask: the catalogue has one item only.
            Interrupted: `should_stop` answered yes.
        """
        if task.base.style.event_options < 2:
            raise InvalidTask("random labels need at least two options")
        generator = torch.Generator().manual_seed(task.seed + _LABEL_SEED_OFFSET)

        def mislead(student: ChoiceModel, forget: Batch) -> Tensor:
            wrong = other_options(forget.targets, forget.options, generator)
            return losses.cross_entropy(student.logits(forget), wrong)

        return descend_held(task, self.config, mislead, **watched)


def other_options(targets: Tensor, options: Tensor | int, generator: torch.Generator) -> Tensor:
    """`targets` with each replaced by another of its choice's `options`, uniformly; `IGNORED` stays.

    A choice with a single option stays too: there is no wrong answer. `generator` is on the CPU, so that a seed draws
    the same options on every device.
    """
    if isinstance(options, int):
        drawn = torch.randint(options - 1, targets.shape, generator=generator).to(targets.device)
    else:
        others = (options - 1).clamp(min=1)
        shares = torch.rand(targets.shape, generator=generator, dtype=torch.float64).to(targets.device)
        drawn = (shares * others).long()
        targets = torch.where(options > 1, targets, IGNORED)
    # The draw is from all options but the true one: from the true one on, numbers shift by one.
    return torch.where(targets == IGNORED, targets, drawn + (drawn >= targets))
