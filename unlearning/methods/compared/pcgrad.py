"""Gradient surgery: gradient difference along gradients whose conflicting components are removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Unpack, get_args

import torch
from torch import Tensor

from recommender.choices import Batch
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel, descend
from unlearning.methods.shared.retain_term import RetainedDescentConfig, RetainTerm
from unlearning.progress import Watched

ProjectionScope = Literal["whole", "tensor"]


@dataclass(frozen=True)
class PcGradConfig(RetainedDescentConfig):
    """The common fields, with both weights positive, and which vectors are projected.

    Attributes:
        scope: `whole` compares the gradients of the whole adapter as two vectors. `tensor` compares those of each A and
            each B separately, and so also removes conflicts that cancel out over the adapter.

    Raises:
        InvalidMethodConfig: a weight of 0, an unknown scope, or a common field out of range.
    """

    scope: ProjectionScope = "whole"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.forget_weight, self.retain_weight) == 0:
            raise InvalidMethodConfig(f"forget_weight and retain_weight must both be positive: {self}")
        if self.scope not in get_args(ProjectionScope):
            raise InvalidMethodConfig(
                f"scope is {self.scope!r}; choose one of {', '.join(get_args(ProjectionScope))}"
            )


@dataclass(frozen=True)
class PcGrad:
    """Gradient difference, with the component that opposes the other gradient removed from each of the two.

    Both are projected against the other's original, so with two objectives the order that the paper draws at random
    does not matter.

    The projection holds for the gradient and not for the step: Adam rescales every coordinate afterwards, so a step can
    raise the retain loss although its gradient would have lowered it.

    Measured (docs/benchmarks): it loses to doing nothing in `users-1`, with the strength that was tuned for `users-5`.
    """

    config: PcGradConfig = field(default_factory=PcGradConfig)
    name: ClassVar[str] = "pcgrad"
    card: ClassVar[MethodCard] = MethodCard(
        title="PCGrad",
        paper="arXiv 2001.06782 (Yu et al.), algorithm 1",
        cost_class="gradient",
        published_defaults="whole gradients, added up; no forgetting among its objectives",
        reconstruction="gradient ascent on the subjects and NLL on the retained users as the two objectives; steps "
        "and learning rate for a small adapter",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Take `steps` optimiser steps, with two backward passes each.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        config, holder = self.config, RetainTerm(task, self.config)

        def gradient(student: ChoiceModel, forget: Batch, retain: Batch) -> float:
            parameters = list(student.parameters.values())
            climb = config.forget_weight * losses.gradient_ascent(student.logits(forget), forget.targets)
            ascent = torch.autograd.grad(climb, parameters, materialize_grads=True)
            held = holder(student, retain)
            descent = torch.autograd.grad(held, parameters, materialize_grads=True)
            for parameter, value in zip(parameters, reconciled(ascent, descent, config.scope), strict=True):
                parameter.grad = value
            return float(climb.detach() + held.detach())

        return descend(
            task,
            config,
            gradient,
            references=holder.references,
            **watched,
        )


def reconciled(first: Sequence[Tensor], second: Sequence[Tensor], scope: ProjectionScope) -> list[Tensor]:
    """The sum of two gradients, tensor by tensor, after each was projected against the other where they conflict."""
    if scope == "tensor":
        return [
            _sum_without_conflict(one.flatten(), other.flatten()).view_as(one)
            for one, other in zip(first, second, strict=True)
        ]
    total = _sum_without_conflict(
        *(torch.cat([part.flatten() for part in parts]) for parts in (first, second))
    )
    pieces = torch.split(total, [part.numel() for part in first])
    return [piece.view_as(part) for piece, part in zip(pieces, first, strict=True)]


def _sum_without_conflict(first: Tensor, second: Tensor) -> Tensor:
    product, norms = first.dot(second), (float(first.norm()), float(second.norm()))
    # Without a conflict nothing is projected; that includes a gradient of 0, which would divide by 0. A gradient so
    # small that it vanishes in the sum is rounding error of arbitrary direction, so nothing is projected on it either.
    # The gradient of the divergence from the parent is of that kind at the parent itself.
    if product >= 0 or min(norms) <= torch.finfo(first.dtype).eps * max(norms):
        return first + second
    return first - product / second.dot(second) * second + second - product / first.dot(first) * first
