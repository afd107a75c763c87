"""Selective synaptic dampening: shrink the weights that are far more important for the subjects than for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from recommender.choices import Batch
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.descent import RETAIN_SEED_OFFSET, ChoiceModel
from unlearning.methods.shared.gradients import predicted_items, summed_gradient
from unlearning.methods.shared.windows import Windows
from unlearning.progress import OnStep, Progress, ShouldStop

Against = Literal["all", "retain"]


@dataclass(frozen=True)
class SsdConfig:
    """When a weight is dampened, and by how much (arXiv 2308.07707).

    Attributes:
        alpha: a weight is selected if its importance on the subjects exceeds alpha times that on the others. The
            published 10 was found on image classifiers; tune it for an adapter.
        dampening: lambda; a selected weight is multiplied by min(lambda I / I_forget, 1).
        against: whose importance the subjects' is compared with: `all` training users (as published) or the retained
            users alone (`retain`). `all` includes the subjects: if they hold a share s of the items, no ratio exceeds
            1 / s, and a larger alpha selects nothing.
        retain_windows: number of random windows of retained users that their importance is estimated on; None for all.

    Raises:
        InvalidMethodConfig: a value out of its choices or range.
    """

    alpha: float = 10.0
    dampening: float = 1.0
    against: Against = "all"
    retain_windows: int | None = 512

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.dampening >= 0):
            raise InvalidMethodConfig(f"alpha must be positive and dampening at least 0: {self}")
        if self.against not in get_args(Against):
            raise InvalidMethodConfig(f"against is {self.against!r}; choose one of all, retain")
        if self.retain_windows is not None and self.retain_windows < 1:
            raise InvalidMethodConfig(f"retain_windows must be at least 1 or None: {self}")


@dataclass(frozen=True)
class Ssd:
    """Dampen the adapter's weights, both A and B, by their diagonal Fisher importances; nothing is trained.

    Each window takes a backward pass of its own, because its gradient must be squared before it is added up: the square
    of a batch's gradient measures agreement within the batch and not importance. The loop is exact and needs the memory
    of one window; vectorised per-sample gradients would need that of a batch of adapters.

    The artefact `dampened_share` (scalar) is the share of weights that were scaled.

    Measured (docs/benchmarks): it loses to the uniform shrink and to training on the retained users alone in
    `interactions-25`, and to doing nothing after five requests in `sequence`.
    """

    config: SsdConfig = field(default_factory=SsdConfig)
    name: ClassVar[str] = "ssd"
    card: ClassVar[MethodCard] = MethodCard(
        title="Selective Synaptic Dampening (SSD)",
        paper="arXiv 2308.07707",
        cost_class="gradient",
        published_defaults="alpha 10, lambda 1; importance on all training data, computed once",
        reconstruction="on the adapter's weights only; windows as samples; retained users sampled",
    )

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Compute the importances and dampen once.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        watch = Stopwatch()
        model = ChoiceModel(task.base, task.adapter, trainable=True)
        forget, retain = self._windows(task)
        steps = len(forget) + len(retain)
        on_forget = _importance(model, forget, 0, steps, on_step, should_stop)
        on_others = _importance(model, retain, len(forget), steps, on_step, should_stop)
        if self.config.against == "all":
            # The sample's importance counts for the items of all retained users, the subjects' for their own.
            mine, theirs = predicted_items(forget), sum(map(len, task.retain))
            on_others = {
                name: (mine * on_forget[name] + theirs * value) / (mine + theirs)
                for name, value in on_others.items()
            }
        factors = {
            name: dampening_factors(value, on_others[name], self.config.alpha, self.config.dampening)
            for name, value in on_forget.items()
        }
        tensors = {name: _scaled(tensor, factors[name]) for name, tensor in task.adapter.tensors.items()}
        dampened = torch.cat([factor.flatten() < 1 for factor in factors.values()])
        return Candidate(
            adapter=task.adapter.replace(tensors),
            artefacts={"dampened_share": dampened.float().mean().cpu()},
            cost=Cost(watch.seconds, model.forwards, model.backwards, model.backwards),
        )

    def _windows(self, task: ForgetTask) -> tuple[list[Batch], list[Batch]]:
        style = task.base.style
        subjects = Windows(style, task.forget, task.forget_targets, batch_size=1, seed=task.seed)
        others = Windows(style, task.retain, batch_size=1, seed=task.seed + RETAIN_SEED_OFFSET)
        return list(subjects.once()), others.sample(self.config.retain_windows or len(others))


def dampening_factors(on_forget: Tensor, on_others: Tensor, alpha: float, dampening: float) -> Tensor:
    """The factor of each weight: min(lambda I / I_forget, 1) where I_forget > alpha I, else 1."""
    selected = on_forget > alpha * on_others
    # Weights without importance are never selected, so the lower bound only prevents a division by 0.
    tiny = torch.finfo(on_forget.dtype).tiny
    return torch.where(selected, (dampening * on_others / on_forget.clamp_min(tiny)).clamp_max(1.0), 1.0)


def _importance(
    model: ChoiceModel,
    windows: Sequence[Batch],
    done: int,
    steps: int,
    on_step: OnStep | None,
    should_stop: ShouldStop | None,
) -> dict[str, Tensor]:
    """Diagonal of the Fisher information per predicted item, by parameter name.

    The gradient is that of a window's summed negative log-likelihood, and the squares are divided by the number of
    items instead of windows, so that long histories and single forgotten interactions are on one scale.
    """
    total = {name: torch.zeros_like(parameter) for name, parameter in model.parameters.items()}
    for step, window in enumerate(windows, start=done + 1):
        for name, gradient in summed_gradient(model, [window], should_stop=should_stop).items():
            total[name] += gradient.square()
        if on_step is not None:
            on_step(Progress("importance", step, steps))
    items = predicted_items(windows)
    return {name: value / items for name, value in total.items()}


def _scaled(tensor: Tensor, factors: Tensor) -> Tensor:
    return (tensor * factors.to(tensor.device)).to(tensor.dtype)
