"""The equations of least change where only rows of the output layer move: every gradient is a product of matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.methods.ladder.least_change.solver import root_mean_square
from unlearning.methods.ladder.least_change_output.config import LeastChangeOutputConfig
from unlearning.methods.ladder.least_change_output.output_layer import OutputLayer
from unlearning.methods.ladder.least_change_output.retained import Retained
from unlearning.methods.ladder.least_change_output.rows import RowView, Subject
from unlearning.methods.method import ForgetTask
from unlearning.methods.shared.windows import Windows
from unlearning.progress import ShouldStop, check_stop

# Because of the ridge, one pass leaves a share of the subjects' components in a gradient; a second removes most of it.
_PASSES = 2


class OutputSolver:
    """Moves rows of the output layer so that every subject's loss reaches its level.

    `rows` are the items that it moves: the items to forget. Moving other rows too would add nothing, because a softmax
    depends on differences only. `change` [rows, rank] is the change so far.
    """

    def __init__(
        self,
        layer: OutputLayer,
        task: ForgetTask,
        config: LeastChangeOutputConfig,
        should_stop: ShouldStop | None,
    ) -> None:
        assert task.never_seen_nll is not None
        self._config = config
        self._should_stop = should_stop
        self._smoothing = task.smoothing
        self._items = len(layer.weight)
        self._levels = torch.tensor(task.never_seen_nll, dtype=torch.float64)
        self.rows, self._subjects = _subjects(layer, task, config, should_stop)
        self._retained = Retained.read(layer, task, config, self.rows, should_stop)
        self.change = torch.zeros(len(self.rows), len(layer.input_basis), device=self.rows.device)

    def start(self) -> Tensor:
        """The gap before the edit. A subject whose loss is above its level gets that loss as its level from here on."""
        self._levels = torch.maximum(self._levels, self._losses())
        return self.gap()

    def gap(self) -> Tensor:
        """How far each subject is below its level, nats, float64 [subjects]; negative above it."""
        return self._levels - self._losses()

    def round(self, gap: Tensor) -> Tensor:
        """Solve and step once for every subject, `together` at a time, and return every subject's gap afterwards."""
        count = math.ceil(len(gap) / self._config.together)
        cuts = [len(gap) * number // count for number in range(count + 1)]
        for start, end in itertools.pairwise(cuts):
            gap = self._step(slice(start, end), gap)
        return gap

    def gradient(self, subject: int) -> Tensor:
        """Gradient of a subject's mean loss with respect to the change, [rows, rank]."""
        return self._subjects[subject].gradient(self.change, self._smoothing, self._items)

    def _step(self, group: slice, gap: Tensor) -> Tensor:
        """Take one step for these subjects, shortened until it helps, and return every subject's gap."""
        gradients = torch.stack([self.gradient(subject).flatten() for subject in range(len(gap))[group]])
        equations = Equations.of(gradients, self._retained, self._config.ridge)
        if equations is None:
            # No change of these rows moves these subjects' losses, or the losses are not finite.
            return gap
        wanted = gap[group].clamp(max=self._config.stride)
        step = equations.step(wanted.to(gradients.device)).view_as(self.change)
        refinement = self._refinement(equations, step)
        start, before = self.change, root_mean_square(gap)
        left = gap.clone()
        left[group] -= wanted
        halves = [0.5**number for number in range(self._config.halvings + 1)]
        # Far from the point where the equations were set up, the refinement can open the gap again. So the refinement
        # is halved first, until the step closes half of the gap asked for. Then the step alone is tried and halved
        # until it closes any part of the gap.
        for length, share, enough in [
            *((1.0, half, (before + root_mean_square(left)) / 2) for half in halves),
            *((half, 0.0, before) for half in halves),
        ]:
            self.change = start + length * (step + share * refinement)
            after = self.gap()
            # A NaN compares false, so a step that diverges is halved too.
            if root_mean_square(after) < enough:
                return after
        self.change = start
        return gap

    def _refinement(self, equations: Equations, start: Tensor) -> Tensor:
        """The refinement: what to add to the step `start` to minimise the retained users' cost, with the gap closed.

        Projected conjugate gradients (Gould, Hribar and Nocedal, SIAM J. Sci. Comput. 23, 2001). They start at the
        closed form, the cheapest step in the metric; no further direction moves a subject's loss.
        """
        retained = self._retained
        probabilities = retained.probabilities(self.change)
        step = start
        residual = equations.projected(
            retained.curvature(probabilities, step) + retained.gradient(probabilities, self.change)
        )
        preconditioned = retained.preconditioned(residual)
        direction, square = -preconditioned, float((residual * preconditioned).sum())
        goal = square * self._config.tolerance**2
        for _ in range(self._config.refinements):
            check_stop(self._should_stop)
            image = retained.curvature(probabilities, direction)
            curved = float((direction * image).sum())
            if not (curved > 0.0 and square > goal):
                break
            length = square / curved
            step = step + length * direction
            residual = equations.projected(residual + length * image)
            preconditioned = retained.preconditioned(residual)
            previous, square = square, float((residual * preconditioned).sum())
            direction = (square / previous) * direction - preconditioned
        return step - start

    def _losses(self) -> Tensor:
        return torch.stack(
            [own.losses(self.change, self._smoothing, self._items).mean() for own in self._subjects]
        ).cpu()


@dataclass(frozen=True)
class Equations:
    """One equation per subject.

    `gradients` [subjects, parameters] are those of the subjects' losses, `directions` the inverse of the metric times
    these, and `inverse` [subjects, subjects] is the inverse of directions gradients' plus a ridge.
    """

    gradients: Tensor
    directions: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, gradients: Tensor, retained: Retained, ridge: float) -> Equations | None:
        """The equations; None if they cannot be solved: A has rank 0, or a number is not finite."""
        if not retained.rank:
            return None
        directions = torch.stack(
            [retained.preconditioned(gradient.view(-1, retained.rank)).flatten() for gradient in gradients]
        )
        system = (directions @ gradients.T).double()
        scale = float(system.diagonal().mean())
        if not 0.0 < scale < math.inf:
            return None
        system.diagonal().add_(ridge * scale)
        return cls(gradients, directions, torch.linalg.inv(system))

    def step(self, gap: Tensor) -> Tensor:
        """The cheapest step in the metric that closes the gap, [parameters]."""
        return (self.inverse @ gap).to(self.directions) @ self.directions

    def projected(self, residual: Tensor) -> Tensor:
        """`residual` [rows, rank] projected so that the step along its metric-inverse moves no subject's loss."""
        left = residual.flatten()
        for _ in range(_PASSES):
            held = self.inverse @ (self.directions @ left).double()
            left = left - held.to(left) @ self.gradients
        return left.view_as(residual)


def _subjects(
    layer: OutputLayer, task: ForgetTask, config: LeastChangeOutputConfig, should_stop: ShouldStop | None
) -> tuple[Tensor, Sequence[Subject]]:
    """The items to forget, and each subject's positions reduced to these items' rows."""
    read = list[tuple[Tensor, Tensor]]()
    for subject, sequence in enumerate(task.forget):
        targets = None if task.forget_targets is None else [task.forget_targets[subject]]
        windows = Windows(task.base.style, [sequence], targets, batch_size=config.batch_size, seed=task.seed)
        batches = list(windows.once())
        if not read:
            layer.check(batches[0])
        read.append(layer.read_targets(batches, should_stop))
    rows = torch.unique(torch.cat([targets for _, targets in read]))
    return rows, [
        Subject(RowView.of(layer, hidden, rows, should_stop), torch.searchsorted(rows, targets))
        for hidden, targets in read
    ]
