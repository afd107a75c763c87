"""The training loop of all gradient methods: draw a forget and a retain batch, compute a gradient, take an AdamW step.

The student starts as the parent version and stays in eval mode: with dropout, two runs of one request would differ by
more than the edit. A method's reference is the parent attached a second time, as another tree of modules around the
same base tensors, so the base is never copied and never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from peft import PeftModel
from torch import Tensor, nn

from recommender import Adapter, Base, PromptStyle, adapter_parameters, attach
from recommender.choices import Batch, choice_logits
from unlearning.errors import Diverged, InvalidMethodConfig
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.windows import Windows
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop

# Forget and retain windows are drawn with different seeds.
RETAIN_SEED_OFFSET = 1


@dataclass(frozen=True)
class DescentConfig:
    """The optimiser of a gradient method; every method adds its own fields.

    Attributes:
        steps: optimiser steps.
        lr: AdamW's learning rate, constant. There is no weight decay, which would shrink the adapter for everybody.
        batch_size: most windows in a batch, both of the forget and of the retain set.
        max_grad_norm: Euclidean norm that each step's gradient is clipped to.

    Raises:
        InvalidMethodConfig: a value out of range.
    """

    steps: int = 30
    lr: float = 3e-4
    batch_size: int = 16
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise InvalidMethodConfig(f"steps and batch_size must be at least 1: {self}")
        if not (self.lr > 0 and self.max_grad_norm > 0):
            raise InvalidMethodConfig(f"lr and max_grad_norm must be positive: {self}")


class ChoiceModel:
    """A base with an adapter that computes the logits of choices and counts the windows it reads.

    `parameters` are the adapter's tensors, named as in `Adapter.tensors`. They require gradients only if the model is
    `trainable`.
    """

    def __init__(self, base: Base, adapter: Adapter, *, trainable: bool = False) -> None:
        self.model: PeftModel = attach(base, adapter)
        self.style: PromptStyle = base.style
        self.parameters: dict[str, nn.Parameter] = adapter_parameters(self.model)
        self.forwards = self.backwards = 0
        self._adapter = adapter
        for parameter in self.parameters.values():
            parameter.requires_grad_(trainable)
        self._trainable = trainable

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [rows, choices, options]; part of the autograd graph only if the model is trainable."""
        self.forwards += batch.rows
        if self._trainable and torch.is_grad_enabled():
            self.backwards += batch.rows
            return self._logits(batch)
        with torch.no_grad():
            return self._logits(batch)

    def adapter(self) -> Adapter:
        """A copy of the adapter in its present state."""
        return self._adapter.replace(
            {name: parameter.detach().cpu().clone() for name, parameter in self.parameters.items()}
        )

    def _logits(self, batch: Batch) -> Tensor:
        return choice_logits(self.model, batch)


class Gradient(Protocol):
    """One step's gradient."""

    def __call__(self, student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        """Store the gradient in `.grad` of the student's parameters, and return the loss to report."""


Loss = Callable[[ChoiceModel, Batch, Batch], Tensor]


def of_loss(loss: Loss) -> Gradient:
    """The gradient of a scalar loss."""

    def gradient(student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        value = loss(student, forget, retain)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return float(value.detach())

    return gradient


def forget_windows(task: ForgetTask, config: DescentConfig) -> Windows:
    """The subjects' windows; only items to forget are targets."""
    return Windows(
        task.base.style, task.forget, task.forget_targets, batch_size=config.batch_size, seed=task.seed
    )


def retain_windows(task: ForgetTask, config: DescentConfig) -> Windows:
    """The retained users' windows."""
    return Windows(
        task.base.style, task.retain, batch_size=config.batch_size, seed=task.seed + RETAIN_SEED_OFFSET
    )


def descend(
    task: ForgetTask,
    config: DescentConfig,
    gradient: Gradient,
    *,
    references: tuple[ChoiceModel, ...] = (),
    student: ChoiceModel | None = None,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> Candidate:
    """Take `config.steps` optimiser steps from the parent, or from `student`, and return the resulting candidate.

    The forwards of `references` are added to the cost. On a CPU, the same task gives the same result bit for bit.

    Raises:
        Interrupted: `should_stop` answered yes between two steps.
        Diverged: a gradient was not finite.
    """
    watch = Stopwatch()
    student = student or ChoiceModel(task.base, task.adapter, trainable=True)
    forget, retain = forget_windows(task, config), retain_windows(task, config)
    parameters = list(student.parameters.values())
    optimiser = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=0.0)
    for step in range(1, config.steps + 1):
        check_stop(should_stop)
        optimiser.zero_grad(set_to_none=True)
        loss = gradient(student, _on_device(forget.draw(), student), _on_device(retain.draw(), student))
        norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        if not bool(torch.isfinite(norm)):
            raise Diverged(f"step {step} of {config.steps} has no finite gradient; lower lr or steps")
        optimiser.step()
        if on_step is not None:
            on_step(Progress("descent", step, config.steps, loss))
    forwards = student.forwards + sum(reference.forwards for reference in references)
    return Candidate(
        adapter=student.adapter(), cost=Cost(watch.seconds, forwards, student.backwards, student.backwards)
    )


def _on_device(batch: Batch, student: ChoiceModel) -> Batch:
    return batch.to(student.model.device)
