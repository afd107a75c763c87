"""Repair: restore the retained users' loss after an edit, without moving the subjects' losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.solver import root_mean_square
from unlearning.methods.method import ForgetTask
from unlearning.methods.shared.curvature import flat, shaped_like
from unlearning.methods.shared.descent import RETAIN_SEED_OFFSET, ChoiceModel
from unlearning.methods.shared.gradients import predicted_items, summed_loss
from unlearning.methods.shared.windows import Windows
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop

# Repair draws its training windows in another order than the sample that decides when it stops. In a service with few
# users it also trains on that sample, and then stops a little early.
_TRAINING_SEED_OFFSET = 2


class Repair:
    """Training steps on retained users after an edit. Create it before the edit, so that it knows the loss before.

    It takes Adam steps on random windows. The components along the subjects' gradients are removed from each step's
    gradient. Training stops as soon as the sampled windows are predicted as well as before the edit. The best weights
    are kept, those at the start included, so useless steps change nothing. `steps` is the number of steps taken.
    """

    def __init__(
        self, model: ChoiceModel, task: ForgetTask, config: LeastChangeConfig, should_stop: ShouldStop | None
    ) -> None:
        self._model = model
        self._task = task
        self._config = config
        self._should_stop = should_stop
        self._parameters = list(model.parameters.values())
        self._sample = self._windows(RETAIN_SEED_OFFSET).sample(config.retain_windows, config.retain_items)
        self._origin = self._snapshot()
        self._before = self._loss()
        self.steps = 0

    def is_needed(self) -> bool:
        """Whether the edit raised the loss of the sampled windows."""
        return self._loss() > self._before

    def run(self, directions: Tensor, *, strides: int = 1, on_step: OnStep | None = None) -> None:
        """Train, with every gradient projected orthogonally to `directions` [directions, parameters].

        Args:
            strides: number of strides of the edit, see `LeastChangeConfig.repair_length`.

        Adam rescales each coordinate after the projection, so the steps are not quite orthogonal to `directions`. The
        method therefore solves its equations again afterwards, and the gate judges the result.
        """
        basis = torch.linalg.qr(directions.T)[0]
        edit = flat(self._snapshot()) - flat(self._origin)
        length = self._config.repair_length * strides * root_mean_square(edit)
        optimiser = torch.optim.Adam(self._parameters, lr=length)
        windows = self._windows(_TRAINING_SEED_OFFSET)
        best, best_weights = self._loss(), self._snapshot()
        most = min(
            math.ceil(self._config.repair_steps / math.sqrt(strides)),
            self._config.repair_steps_each * len(self._task.forget),
        )
        for step in range(1, most + 1):
            check_stop(self._should_stop)
            batch = windows.draw()
            loss = summed_loss(self._model.logits(batch), batch.targets) / predicted_items([batch])
            gradient = torch.cat([part.flatten() for part in torch.autograd.grad(loss, self._parameters)])
            gradient = gradient - basis @ (basis.T @ gradient)
            for parameter, part in zip(
                self._parameters, shaped_like(gradient, self._parameters), strict=True
            ):
                parameter.grad = part
            optimiser.step()
            self.steps = step
            if on_step is not None:
                on_step(Progress("repair", step, most, float(loss.detach())))
            if step % self._config.repair_every == 0 or step == most:
                reached = self._loss()
                # A NaN compares false, so after a divergence the best weights are restored.
                if reached < best:
                    best, best_weights = reached, self._snapshot()
                if best <= self._before:
                    break
        self._restore(best_weights)

    def _windows(self, offset: int) -> Windows:
        task = self._task
        return Windows(
            task.base.style, task.retain, batch_size=self._config.batch_size, seed=task.seed + offset
        )

    def _loss(self) -> float:
        """Mean loss over the sampled windows' items."""
        with torch.no_grad():
            total = 0.0
            for batch in self._sample:
                check_stop(self._should_stop)
                total += float(summed_loss(self._model.logits(batch), batch.targets))
        return total / predicted_items(self._sample)

    def _snapshot(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def _restore(self, weights: list[Tensor]) -> None:
        for parameter, weight in zip(self._parameters, weights, strict=True):
            parameter.grad = None
            parameter.copy_(weight)
