"""The equations of least change: one per subject, in the metric of what a change costs the retained users."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from unlearning import losses
from unlearning.evaluation.gains import smoothed
from unlearning.methods.curvature import shaped_like
from unlearning.methods.descent import RETAIN_SEED_OFFSET, ItemModel, item_logits
from unlearning.methods.gradients import predicted_items, summed_loss
from unlearning.methods.least_change_config import LeastChangeConfig
from unlearning.methods.method import ForgetTask
from unlearning.methods.windows import Batch, Windows
from unlearning.progress import ShouldStop, check_stop


class Solver:
    """Moves the adapter of `model` so that every subject's loss comes to its level."""

    def __init__(
        self, model: ItemModel, task: ForgetTask, config: LeastChangeConfig, should_stop: ShouldStop | None
    ) -> None:
        assert task.never_seen_nll is not None
        self._model = model
        self._config = config
        self._should_stop = should_stop
        self._smoothing = task.smoothing
        self._parameters = list(model.parameters.values())
        self._subjects = [
            list(
                Windows(
                    task.base.style,
                    [sequence],
                    None if task.forget_targets is None else [task.forget_targets[place]],
                    batch_size=config.batch_size,
                    seed=task.seed,
                ).once()
            )
            for place, sequence in enumerate(task.forget)
        ]
        self._levels = torch.tensor(task.never_seen_nll, dtype=torch.float64)
        self._memories = self._remembered(task) if config.memory_weight > 0 else []
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
        kinds = [self._mean_gradient, self._weighted_gradient] if self._memories else [self._mean_gradient]
        return torch.stack(
            [torch.stack([gradient(place) for place in part]).mean(0) for gradient in kinds for part in parts]
        )

    def _parts(self, count: int) -> list[range]:
        """The subjects' places, cut into so many parts whose sizes differ by at most one."""
        cuts = [len(self._subjects) * number // count for number in range(count + 1)]
        return [range(start, end) for start, end in itertools.pairwise(cuts)]

    def _losses(self) -> Tensor:
        found = []
        with torch.no_grad():
            for batches in self._subjects:
                check_stop(self._should_stop)
                total = sum(float(self._item_losses(batch).sum()) for batch in batches)
                found.append(total / predicted_items(batches))
        return torch.tensor(found, dtype=torch.float64)

    def _remembered(self, task: ForgetTask) -> list[list[Tensor]]:
        """By how much the adapter predicts each item better than the base does, nats, at least 0: one tensor [items]
        per batch of each subject.
        """
        found = []
        with torch.no_grad():
            for batches in self._subjects:
                check_stop(self._should_stop)
                own = []
                for batch in batches:
                    bare = self._smoothed(item_logits(task.base.model, task.base.style, batch), batch)
                    self._model.forwards += batch.rows
                    own.append((bare - self._item_losses(batch)).clamp(min=0.0))
                found.append(own)
        return found

    def _step(self, group: range, gap: Tensor, by_memory: bool) -> Tensor:
        """Move the adapter for these subjects, as far as it helps."""
        gradient, rise = (
            (self._weighted_gradient, self._weighted_rise) if by_memory else (self._mean_gradient, _as_it_is)
        )
        wanted = torch.tensor([rise(place, float(gap[place])) for place in group], dtype=torch.float64)
        gradients = torch.stack([gradient(place) for place in group])
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
        windows = Windows(task.base.style, task.retain, batch_size=1, seed=task.seed + RETAIN_SEED_OFFSET)
        batches = windows.sample(self._config.retain_windows)
        total = torch.zeros(sum(parameter.numel() for parameter in self._parameters), device=self._device)
        for batch in batches:
            loss = summed_loss(self._model.logits(batch), batch.targets) / predicted_items([batch])
            total += self._gradient(loss).square()
        mean = total / len(batches)
        return mean + self._config.damping * mean.mean()

    @property
    def _device(self) -> torch.device:
        return self._parameters[0].device

    def _item_losses(self, batch: Batch) -> Tensor:
        """Of the batch's predicted items, smoothed as the levels are: float64 [items]."""
        return self._smoothed(self._model.logits(batch), batch)

    def _smoothed(self, logits: Tensor, batch: Batch) -> Tensor:
        found = -losses.log_likelihoods(logits, batch.targets.to(logits.device), "item")
        return smoothed(found, self._smoothing, logits.shape[-1])

    def _mean_gradient(self, place: int) -> Tensor:
        """Of the subject's mean loss per item, [parameters]."""
        batches = self._subjects[place]
        total = torch.stack([self._gradient(self._item_losses(batch).sum()) for batch in batches]).sum(0)
        return total / predicted_items(batches)

    def _weighted_gradient(self, place: int) -> Tensor:
        """Of the subject's mean loss, its items weighted by w_i = m_i^memory_weight, [parameters]."""
        weights = self._weights(place)
        total = torch.stack(
            [
                self._gradient((weight * self._item_losses(batch)).sum())
                for weight, batch in zip(weights, self._subjects[place], strict=True)
            ]
        ).sum(0)
        return total / float(torch.cat(weights).sum())

    def _weighted_rise(self, place: int, gap: float) -> float:
        """How far the weighted mean rises when the plain one rises by `gap` because all items give back one and the
        same share of their memories m_i: by that share of sum(w m) / sum(w). No item gives back more than it has.
        """
        memory, weight = torch.cat(self._memories[place]), torch.cat(self._weights(place))
        mean = float(memory.mean())
        if mean == 0.0:
            return gap
        return min(gap / mean, 1.0) * float((weight * memory).sum() / weight.sum())

    def _weights(self, place: int) -> list[Tensor]:
        """Of the subject's items, one tensor [items] per batch, as far as powers of memories go down to 0."""
        memories = self._memories[place]
        largest = max(float(own.max()) for own in memories)
        if largest == 0.0:
            # Nothing is better known than to the base: no item before another.
            return [torch.ones_like(own) for own in memories]
        # Relative to the largest, so that a high power leaves at least that one.
        return [(own / largest) ** self._config.memory_weight for own in memories]

    def _gradient(self, loss: Tensor) -> Tensor:
        check_stop(self._should_stop)
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, self._parameters)])

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
