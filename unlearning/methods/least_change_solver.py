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
from unlearning.methods.descent import RETAIN_SEED_OFFSET, ItemModel
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
        self._inverse = 1.0 / self._curvature(task)

    def start(self) -> Tensor:
        """The gap before the edit. From here on the level of a subject above its own is where it stands."""
        self._levels = torch.maximum(self._levels, self._losses())
        return self.gap()

    def gap(self) -> Tensor:
        """How far each subject is below its level, nats, float64 [subjects]; negative above it."""
        return self._levels - self._losses()

    def round(self, gap: Tensor) -> Tensor:
        """Solve and step once for every subject, `together` at a time; returns everybody's gap after it."""
        for group in self._parts(math.ceil(len(self._subjects) / self._config.together)):
            gap = self._step(group, gap)
        return gap

    def directions(self) -> Tensor:
        """The gradients of the subjects' losses, or means over neighbouring ones if there are more subjects than may
        be held `together`: [directions, parameters].
        """
        parts = self._parts(min(len(self._subjects), self._config.together))
        return torch.stack(
            [
                torch.stack([self._subject_gradient(self._subjects[place]) for place in part]).mean(0)
                for part in parts
            ]
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
                total = sum(float(self._subject_loss(batch)) for batch in batches)
                found.append(total / predicted_items(batches))
        return torch.tensor(found, dtype=torch.float64)

    def _step(self, group: range, gap: Tensor) -> Tensor:
        """Move the adapter for these subjects, as far as it helps."""
        wanted = gap[group.start : group.stop]
        gradients = torch.stack([self._subject_gradient(self._subjects[place]) for place in group])
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

    def _subject_loss(self, batch: Batch) -> Tensor:
        """Summed over the batch's items, smoothed as the levels are."""
        logits = self._model.logits(batch)
        found = -losses.log_likelihoods(logits, batch.targets.to(logits.device), "item")
        return smoothed(found, self._smoothing, logits.shape[-1]).sum()

    def _subject_gradient(self, batches: Sequence[Batch]) -> Tensor:
        """Of the subject's mean loss per item, [parameters]."""
        total = torch.stack([self._gradient(self._subject_loss(batch)) for batch in batches]).sum(0)
        return total / predicted_items(batches)

    def _gradient(self, loss: Tensor) -> Tensor:
        check_stop(self._should_stop)
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, self._parameters)])

    @torch.no_grad()
    def _place(self, start: Sequence[Tensor], change: Tensor) -> None:
        for parameter, origin, step in zip(
            self._parameters, start, shaped_like(change, self._parameters), strict=True
        ):
            parameter.copy_(origin + step)


def root_mean_square(values: Tensor) -> float:
    """Of finite values; NaN if one is not."""
    return (
        math.sqrt(float(values.double().square().mean())) if bool(torch.isfinite(values).all()) else math.nan
    )
