"""The equations of least change: one per subject, in a metric that measures the cost for the retained users."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from recommender.choices import Batch
from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.subjects import Subjects, rows_at_once
from unlearning.methods.method import ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.curvature import shaped_like
from unlearning.methods.shared.descent import RETAIN_SEED_OFFSET, ChoiceModel
from unlearning.methods.shared.window_gradients import WindowGradients
from unlearning.methods.shared.windows import Windows
from unlearning.progress import ShouldStop, check_stop

_MOST_STRIDES = 16


def strides(gap: Tensor, stride: float) -> int:
    """The number of rounds, at most sixteen, that bring the farthest subject to within one stride of its level."""
    farthest = float(gap.max())
    if not math.isfinite(farthest):
        return 0
    return min(max(math.ceil(farthest / stride) - 1, 0), _MOST_STRIDES)


class Solver:
    """Moves the adapter of `model` so that every subject's loss reaches its level."""

    def __init__(
        self, model: ChoiceModel, task: ForgetTask, config: LeastChangeConfig, should_stop: ShouldStop | None
    ) -> None:
        assert task.never_seen_nll is not None
        self._model = model
        self._config = config
        self._should_stop = should_stop
        self._parameters = list(model.parameters.values())
        self._subjects = Subjects(model, task, batch_size=config.batch_size, should_stop=should_stop)
        self._levels = torch.tensor(task.never_seen_nll, dtype=torch.float64)
        self._memories = self._remembered() if config.memory_weight > 0 else []
        self._inverse = 1.0 / self._curvature(task)

    def start(self) -> Tensor:
        """The gap before the edit. A subject whose loss is above its level gets that loss as its level from here on."""
        self._levels = torch.maximum(self._levels, self._losses())
        return self.gap()

    def gap(self) -> Tensor:
        """How far each subject is below its level, nats, float64 [subjects]; negative above it."""
        return self._levels - self._losses()

    def round(self, gap: Tensor, *, by_memory: bool = False) -> Tensor:
        """Solve and step once for every subject, `together` at a time, and return every subject's gap afterwards.

        Args:
            by_memory: weight each subject's items by the adapter's memory of them before the edit, so that the
                best-remembered items move most; otherwise only the mean counts, whichever items move.
        """
        for group in self._parts(math.ceil(len(self._subjects) / self._config.together)):
            gap = self._step(group, gap, by_memory)
        return gap

    def directions(self) -> Tensor:
        """The gradients of the subjects' losses, [directions, parameters].

        With a `memory_weight` the gradients of the weighted losses are among them too. If there are more subjects than
        `together`, each direction is the mean over a group of consecutive subjects.
        """
        parts = self._parts(min(len(self._subjects), self._config.together))
        kinds = [False, True] if self._memories else [False]
        return torch.stack(
            [self._gradients(part, by_memory=by_memory).mean(0) for by_memory in kinds for part in parts]
        )

    def _parts(self, count: int) -> list[range]:
        """The subjects' indices, divided into `count` parts whose sizes differ by at most one."""
        cuts = [len(self._subjects) * number // count for number in range(count + 1)]
        return [range(start, end) for start, end in itertools.pairwise(cuts)]

    def _losses(self) -> Tensor:
        return self._subjects.losses()

    def _remembered(self) -> list[Tensor]:
        """The memory of each item: how much better the adapter predicts it than the base, in nats, at least 0.

        One tensor [items] per subject.
        """
        base, now = self._subjects.item_losses(of_base=True), self._subjects.item_losses()
        return [(bare - own).clamp(min=0.0) for bare, own in zip(base, now, strict=True)]

    def _step(self, group: range, gap: Tensor, by_memory: bool) -> Tensor:
        """Take one step for these subjects, halved until it helps, and return every subject's gap."""
        rise = self._weighted_rise if by_memory else _as_it_is
        step = gap.clamp(max=self._config.stride)
        wanted = torch.tensor([rise(subject, float(step[subject])) for subject in group], dtype=torch.float64)
        gradients = self._gradients(group, by_memory=by_memory)
        directions = gradients * self._inverse
        system = (directions @ gradients.T).double().cpu()
        scale = float(system.diagonal().mean())
        if not 0.0 < scale < math.inf:
            # No change of the adapter moves these subjects' losses, or the losses are not finite.
            return gap
        system.diagonal().add_(self._config.ridge * scale)
        multipliers = torch.linalg.solve(system, wanted)
        change = multipliers.to(directions) @ directions
        start = [parameter.detach().clone() for parameter in self._parameters]
        length = 1.0
        for _ in range(self._config.halvings + 1):
            self._move_to(start, length * change)
            after = self.gap()
            # A NaN compares false, so a step that diverges is halved too.
            if root_mean_square(after) < root_mean_square(gap):
                return after
            length /= 2
        self._move_to(start, torch.zeros_like(change))
        return gap

    def _curvature(self, task: ForgetTask) -> Tensor:
        watched = WindowGradients(self._model)
        rows = rows_at_once(self._model, self._config.batch_size) if watched.possible else 1
        windows = Windows(task.base.style, task.retain, batch_size=rows, seed=task.seed + RETAIN_SEED_OFFSET)
        batches = windows.sample(self._config.retain_windows, self._config.retain_items)
        total = torch.zeros(sum(parameter.numel() for parameter in self._parameters), device=self._device)
        for batch in batches:
            check_stop(self._should_stop)
            total += self._of_windows(batch, watched).square().sum(0)
        mean = total / sum(batch.rows for batch in batches)
        return mean + self._config.damping * mean.mean()

    def _of_windows(self, batch: Batch, watched: WindowGradients) -> Tensor:
        """Gradient of each window's mean loss per item: [rows, parameters]."""
        counts = batch.predicted()
        share = (1.0 / counts).repeat_interleave(counts).to(self._device)

        def loss() -> Tensor:
            logits = self._model.logits(batch)
            events = None if batch.events is None else batch.events.to(logits.device)
            found = losses.log_likelihoods(logits, batch.targets.to(logits.device), "item", events)
            return -(found * share).sum()

        if not watched.possible:
            return torch.cat(
                [part.flatten() for part in torch.autograd.grad(loss(), self._parameters)]
            ).unsqueeze(0)
        with watched.watching():
            found = loss()
        return watched.of(found)

    @property
    def _device(self) -> torch.device:
        return self._parameters[0].device

    def _gradients(self, subjects: range, *, by_memory: bool) -> Tensor:
        """Gradients of these subjects' mean losses, or of those weighted by memory, [subjects, parameters]."""
        weights = [self._weights(subject) for subject in subjects] if by_memory else None
        return self._subjects.gradients(subjects, weights)

    def _weighted_rise(self, subject: int, gap: float) -> float:
        """The rise of the weighted mean loss that corresponds to a rise of the plain mean by `gap`.

        It assumes that all items lose the same share of their memories m_i, at most 1. The weighted mean then rises by
        that share of sum(w m) / sum(w).
        """
        memory, weight = self._memories[subject], self._weights(subject)
        mean = float(memory.mean())
        if mean == 0.0:
            return gap
        return min(gap / mean, 1.0) * float((weight * memory).sum() / weight.sum())

    def _weights(self, subject: int) -> Tensor:
        """The weights w_i = m_i^memory_weight of a subject's items, float64 [items], relative to the largest memory."""
        memory = self._memories[subject]
        largest = float(memory.max())
        if largest == 0.0:
            # The adapter remembers no item, so all items weigh the same.
            return torch.ones_like(memory)
        # Relative to the largest memory, whose weight is then 1: otherwise a high power could round all weights to 0.
        return torch.as_tensor((memory / largest) ** self._config.memory_weight)

    @torch.no_grad()
    def _move_to(self, start: Sequence[Tensor], change: Tensor) -> None:
        for parameter, origin, step in zip(
            self._parameters, start, shaped_like(change, self._parameters), strict=True
        ):
            parameter.copy_(origin + step)


def _as_it_is(subject: int, gap: float) -> float:
    return gap


def root_mean_square(values: Tensor) -> float:
    """The root mean square of `values`; NaN if one of them is not finite."""
    return (
        math.sqrt(float(values.double().square().mean())) if bool(torch.isfinite(values).all()) else math.nan
    )
