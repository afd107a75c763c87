"""Relearning attack: train a candidate briefly on a few of the forgotten items and measure it on the others.

What was only hidden comes back from such hints (arXiv 2406.13356). Read the curve beside that of an adapter that never
saw the subjects: with the same subjects and configuration, both are trained on the same items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from recommender import Adapter, Base
from recommender.choices import Batch
from unlearning.activations.collect import lora_layers
from unlearning.attacks.predictions import Marks, marks_of
from unlearning.errors import InvalidEvaluation
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.windows import Windows
from unlearning.progress import ShouldStop, check_stop

Trained = Literal["adapter", "gates"]


@dataclass(frozen=True)
class RelearningConfig:
    """How the attacker trains; AdamW without weight decay at a constant rate.

    Attributes:
        trained: `adapter` trains every LoRA tensor. `gates` trains one factor per rank channel, which starts at 1
            (results are published under this name). That is the cheapest way to undo a method that scales channels,
            and it cannot restore a channel that is exactly 0.
        share: share of the subjects' marked items that the attacker holds, drawn over all subjects at once.
        checkpoints: steps after which the other items are measured, ascending; 0 is the candidate itself.
        lr: learning rate for the adapter.
        factor_lr: learning rate for the factors, whose scale is 1 whatever the adapter's.
        batch_size: most windows in a batch.
        seed: seed of the draw of items and of the batches.

    Raises:
        InvalidEvaluation: a value out of range.
    """

    trained: Trained = "adapter"
    share: float = 0.1
    checkpoints: tuple[int, ...] = (0, 1, 2, 4, 8, 16)
    lr: float = 1e-3
    factor_lr: float = 0.1
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trained not in ("adapter", "gates"):
            raise InvalidEvaluation(f"trained must be adapter or gates, not {self.trained!r}")
        if not 0.0 < self.share < 1.0:
            raise InvalidEvaluation(f"share must lie between 0 and 1, not {self.share}")
        steps = self.checkpoints
        if not steps or steps[0] < 0 or list(steps) != sorted(set(steps)):
            raise InvalidEvaluation(f"checkpoints must be ascending numbers of steps, not {steps}")
        if not (self.lr > 0 and self.factor_lr > 0) or self.batch_size < 1:
            raise InvalidEvaluation(f"lr and factor_lr must be positive, batch_size at least 1: {self}")


@dataclass(frozen=True)
class RelearningCurve:
    """Mean NLL in nats of the `measured` items, which the attacker did not train on, after each number of steps.

    The attacker trained on `attacked` items and moved `trained_numbers` parameters.
    """

    steps: tuple[int, ...]
    nll: tuple[float, ...]
    attacked: int
    measured: int
    trained_numbers: int


def relearning_curve(
    base: Base,
    candidate: Adapter,
    subjects: Sequence[Sequence[int]],
    targets: Sequence[Sequence[bool]] | None = None,
    config: RelearningConfig | None = None,
    *,
    should_stop: ShouldStop | None = None,
) -> RelearningCurve:
    """Attack a copy of `candidate`. Every item of a subject is context, marked or not.

    Args:
        subjects: the subjects' training sequences.
        targets: which of their items were to be forgotten; None for all. Only these are trained on or measured.

    Raises:
        InvalidEvaluation: fewer than two marked items, or see `marks_of`.
        Interrupted: `should_stop` answered yes.
    """
    config = config or RelearningConfig()
    attacked, measured = relearning_split(subjects, targets, share=config.share, seed=config.seed)
    train, test = (
        Windows(base.style, subjects, marks, batch_size=config.batch_size, seed=config.seed)
        for marks in (attacked, measured)
    )
    student = ChoiceModel(base, candidate, trainable=True)
    parameters, lr = _trained(student, config)
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0)
    curve: dict[int, float] = {}
    for step in range(config.checkpoints[-1] + 1):
        check_stop(should_stop)
        if step:
            batch = train.draw()
            optimiser.zero_grad(set_to_none=True)
            loss = losses.cross_entropy(student.logits(batch), _targets(batch, student))
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            optimiser.step()
        if step in config.checkpoints:
            curve[step] = _mean_nll(student, test)
    return RelearningCurve(
        steps=tuple(curve),
        nll=tuple(curve.values()),
        attacked=_count(attacked),
        measured=_count(measured),
        trained_numbers=sum(parameter.numel() for parameter in parameters),
    )


def relearning_split(
    subjects: Sequence[Sequence[int]],
    targets: Sequence[Sequence[bool]] | None,
    *,
    share: float,
    seed: int,
) -> tuple[Marks, Marks]:
    """Divide the marked items into those the attacker holds and the others, at least one item each.

    Raises:
        InvalidEvaluation: fewer than two marked items, or see `marks_of`.
    """
    marks = marks_of(subjects, targets)
    count = _count(marks)
    if count < 2:
        raise InvalidEvaluation("relearning needs two marked items: one to train on, one to measure")
    chosen = torch.zeros(count, dtype=torch.bool)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    chosen[order[: min(max(1, round(share * count)), count - 1)]] = True
    draws = iter(chosen.tolist())
    attacked = tuple(tuple(mark and next(draws) for mark in own) for own in marks)
    measured = tuple(
        tuple(mark and not drawn for mark, drawn in zip(own, held, strict=True))
        for own, held in zip(marks, attacked, strict=True)
    )
    return attacked, measured


def _trained(student: ChoiceModel, config: RelearningConfig) -> tuple[list[nn.Parameter], float]:
    """The parameters that the attacker trains, and their learning rate."""
    if config.trained == "adapter":
        return list(student.parameters.values()), config.lr
    for parameter in student.parameters.values():
        parameter.requires_grad_(False)
    return _channel_factors(student), config.factor_lr


def _channel_factors(student: ChoiceModel) -> list[nn.Parameter]:
    """One factor per rank channel of every pair, inserted between A and B: the same as scaling the columns of B.

    The hooks are never removed: the model belongs to the student and is dropped with it.
    """
    factors = []
    for layer in lora_layers(student.model).values():
        for name, down in layer.lora_A.items():
            factor = nn.Parameter(torch.ones(layer.r[name], device=student.model.device))
            down.register_forward_hook(_Scale(factor))
            factors.append(factor)
    return factors


@dataclass(frozen=True)
class _Scale:
    """A forward hook that multiplies a module's output."""

    factor: nn.Parameter

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output * self.factor


@torch.no_grad()
def _mean_nll(student: ChoiceModel, windows: Windows) -> float:
    likelihoods = [_likelihoods(student, batch.to(student.model.device)).double() for batch in windows.once()]
    return -float(torch.cat(likelihoods).mean())


def _likelihoods(student: ChoiceModel, batch: Batch) -> Tensor:
    return losses.log_likelihoods(student.logits(batch), batch.targets, "item", batch.events)


def _targets(batch: Batch, student: ChoiceModel) -> Tensor:
    return batch.targets.to(student.model.device)


def _count(marks: Marks) -> int:
    return sum(map(sum, marks))
