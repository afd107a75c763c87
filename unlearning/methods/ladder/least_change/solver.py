"""The equations of least change: one per subject, in the metric of what a change costs the retained users."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.subjects import Subjects, rows_at_once
from unlearning.methods.method import ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.curvature import shaped_like
from unlearning.methods.shared.descent import RETAIN_SEED_OFFSET, ItemModel
from unlearning.methods.shared.losses import IGNORED
from unlearning.methods.shared.window_gradients import WindowGradients
from unlearning.methods.shared.windows import Batch, Windows
from unlearning.progress import ShouldStop, check_stop

_MOST_STRIDES = 16


def strides(gap: Tensor, stride: float) -> int:
    """How many rounds bring the farthest subject to within a stride of its level, sixteen at most."""
    farthest = float(gap.max())
    if not math.isfinite(farthest):
        return 0
    return min(max(math.ceil(farthest / stride) - 1, 0), _MOST_STRIDES)


class Solver:
    """Moves the adapter of `model` so that every subject's loss comes to its level."""

    def __init__(
        self, model: ItemModel, task: ForgetTask, config: LeastChangeConfig, should_stop: ShouldStop | None
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
        """The gap before the edit. From here on the level of a subject above its own is where it stands."""
        self._levels = torch.maximum(self._levels, self._losses())
        return self.gap()

    def gap(self) -> Tensor:
        """How far each subject is below its level, nats, float64 [subjects]; negative above it."""
        return self._levels - self._losses()

    def round(self, gap: Tensor, *, by_memory: bool = False) -> Tensor:
        """Solve and step once for every subject, `together` at a time; returns everybody's gap after it.

        Args:
            by_memory: move each subject's items by what the adapter remembered of them before the edit, and so the
                best-remembered farthest; otherwise the mean is what counts, whatever items it is reached by.
        """
        for group in self._parts(math.ceil(len(self._subjects) / self._config.together)):
            gap = self._step(group, gap, by_memory)
        return gap

    def directions(self) -> Tensor:
        """The gradients of the subjects' losses, where items move by memory those of the weighted losses as well, or
        means over neighbouring ones if there are more subjects than may be held `together`: [directions, parameters].
        """
        parts = self._parts(min(len(self._subjects), self._config.together))
        kinds = [False, True] if self._memories else [False]
        return torch.stack(
            [self._gradients(part, by_memory=by_memory).mean(0) for by_memory in kinds for part in parts]
        )

    def _parts(self, count: int) -> list[range]:
        """The subjects' places, cut into so many parts whose sizes differ by at most one."""
        cuts = [len(self._subjects) * number // count for number in range(count + 1)]
        return [range(start, end) for start, end in itertools.pairwise(cuts)]

    def _losses(self) -> Tensor:
        return self._subjects.losses()

    def _remembered(self) -> list[Tensor]:
        """By how much the adapter predicts each item better than the base does, nats, at least 0: one tensor [items]
        per subject.
        """
        base, now = self._subjects.item_losses(of_base=True), self._subjects.item_losses()
        return [(bare - own).clamp(min=0.0) for bare, own in zip(base, now, strict=True)]

    def _step(self, group: range, gap: Tensor, by_memory: bool) -> Tensor:
        """Move the adapter for these subjects, as far as it helps."""
        rise = self._weighted_rise if by_memory else _as_it_is
        step = gap.clamp(max=self._config.stride)
        wanted = torch.tensor([rise(place, float(step[place])) for place in group], dtype=torch.float64)
        gradients = self._gradients(group, by_memory=by_memory)
        directions = gradients * self._inverse
        system = (directions @ gradients.T).double().cpu()
        scale = float(system.diagonal().mean())
        if not 0.0 < scale < math.inf:
            # No change of the adapter moves these subjects' losses, or they are not finite.
            return gap
        system.diagonal().add_(self._config.ridge * scale)
        multipliers = torch.linalg.solve(system, wanted)
        change = multipliers.to(directions) @ directions
        start = [parameter.detach().clone() for parameter in self._parameters]
        length = 1.0
        for _ in range(self._config.halvings + 1):
            self._place(start, length * change)
            after = self.gap()
            # NaN compares false: a step into nowhere is halved like any other.
            if root_mean_square(after) < root_mean_square(gap):
                return after
            length /= 2
        self._place(start, torch.zeros_like(change))
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
        counts = (batch.targets != IGNORED).sum(1)
        share = (1.0 / counts).repeat_interleave(counts).to(self._device)

        def loss() -> Tensor:
            logits = self._model.logits(batch)
            found = losses.log_likelihoods(logits, batch.targets.to(logits.device), "item")
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

    def _gradients(self, places: range, *, by_memory: bool) -> Tensor:
        """Of these subjects' mean losses per item or of the weighted ones, w_i = m_i^memory_weight; [places, all]."""
        weights = [self._weights(place) for place in places] if by_memory else None
        return self._subjects.gradients(places, weights)

    def _weighted_rise(self, place: int, gap: float) -> float:
        """How far the weighted mean rises when the plain one rises by `gap` because all items give back one and the
        same share of their memories m_i: by that share of sum(w m) / sum(w). No item gives back more than it has.
        """
        memory, weight = self._memories[place], self._weights(place)
        mean = float(memory.mean())
        if mean == 0.0:
            return gap
        return min(gap / mean, 1.0) * float((weight * memory).sum() / weight.sum())

    def _weights(self, place: int) -> Tensor:
        """Of the subject's items [items], as far as powers of memories go down to 0."""
        memory = self._memories[place]
        largest = float(memory.max())
        if largest == 0.0:
            # Nothing is better known than to the base: no item before another.
            return torch.ones_like(memory)
        # Relative to the largest, so that a high power leaves at least that one.
        return torch.as_tensor((memory / largest) ** self._config.memory_weight)

    @torch.no_grad()
    def _place(self, start: Sequence[Tensor], change: Tensor) -> None:
        for parameter, origin, step in zip(
            self._parameters, start, shaped_like(change, self._parameters), strict=True
        ):
            parameter.copy_(origin + step)


def _as_it_is(place: int, gap: float) -> float:
    return gap


def root_mean_square(values: Tensor) -> float:
    """Of finite values; NaN if one is not."""
    return (
        math.sqrt(float(values.double().square().mean())) if bool(torch.isfinite(values).all()) else math.nan
    )
