"""SimNPO: negative preference optimisation with a fixed likelihood as reference instead of the parent's."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Unpack, get_args

import torch
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
class SimNpoConfig(RetainedDescentConfig):
    """The common fields, and where the gradient fades.

    Attributes:
        forget_weight: as in `RetainedDescentConfig`; the published weight is small because beta is large.
        beta: inverse temperature, above 0, per nat of NLL per item.
        delta: NLL per item, in nats, around which the gradient fades, by the factor
            2 sigmoid(-beta (NLL / |y| - delta)). The paper's margin is beta times this. The published 0 presumes
            memorised text, whose NLL is near 0. Items of a catalogue are never that certain: at beta 4.5 and an NLL of
            5 the factor is 3e-10 and nothing is forgotten. Set delta to about the parent's NLL on the subjects.
        unit: what one term of the mean covers, and thus |y|: an `item`, of length 1, or the forget items of a window
            (`sequence`), whose mean NLL is taken first.

    Raises:
        InvalidMethodConfig: beta not positive, delta not finite, an unknown unit, or a common field out of range.
    """

    forget_weight: float = 0.125
    beta: float = 4.5
    delta: float = 0.0
    unit: LikelihoodUnit = "item"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise InvalidMethodConfig(f"beta must be positive, not {self.beta}")
        if not math.isfinite(self.delta):
            raise InvalidMethodConfig(f"delta must be a finite number, not {self.delta}")
        if self.unit not in get_args(LikelihoodUnit):
            raise InvalidMethodConfig(
                f"unit is {self.unit!r}; choose one of {', '.join(get_args(LikelihoodUnit))}"
            )


@dataclass(frozen=True)
class SimNpo:
    """Raise the subjects' NLL per item beyond `delta`, the more weakly the higher it already is; plus a retain term."""

    config: SimNpoConfig = field(default_factory=SimNpoConfig)
    name: ClassVar[str] = "simnpo"
    card: ClassVar[MethodCard] = MethodCard(
        title="SimNPO",
        paper="arXiv 2410.07163 (Fan et al.); settings of OpenUnlearning, arXiv 2506.12618",
        cost_class="gradient",
        published_defaults="beta 4.5, delta 0, weights 0.125 and 1, on sequences (OpenUnlearning); "
        "beta 2.5, forget weight 0.1375 (the authors' repository)",
        reconstruction="one term per item; steps and learning rate for a small adapter; softmax over items only; "
        "on a catalogue delta has to be raised to about the parent's NLL",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Take `steps` optimiser steps.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        config = self.config

        def push(student: ChoiceModel, forget: Batch) -> Tensor:
            likelihoods = losses.log_likelihoods(
                student.logits(forget), forget.targets, config.unit, forget.events
            )
            lengths = _lengths(forget.predicted(), config.unit).to(likelihoods.device)
            return losses.simple_negative_preference(likelihoods, lengths, config.beta, config.delta)

        return descend_held(task, config, push, **watched)


def _lengths(counts: Tensor, unit: LikelihoodUnit) -> Tensor:
    """Items in each unit of `losses.log_likelihoods`, in its order; `counts` int64 [rows] of predicted items."""
    return counts[counts > 0] if unit == "sequence" else torch.ones(int(counts.sum()), dtype=torch.int64)
