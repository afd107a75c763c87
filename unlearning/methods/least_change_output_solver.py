"""The equations of least change where only rows of the output layer move: every gradient is a product of matrices."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.methods.descent import RETAIN_SEED_OFFSET
from unlearning.methods.least_change_output_config import LeastChangeOutputConfig
from unlearning.methods.least_change_solver import root_mean_square
from unlearning.methods.method import ForgetTask
from unlearning.methods.output_layer import OutputLayer, Positions
from unlearning.methods.output_rows import RowView, is_usable, smoothed_mean, uncertainty
from unlearning.methods.windows import Batch, Windows
from unlearning.progress import ShouldStop, check_stop


_PASSES = 2


class OutputSolver:
    """Moves rows of the output layer so that every subject's loss comes to its level.

    `change` [rows, rank] is where it stands, `rows` the items it moves: those that the subjects are to be forgotten
    for. A row that no subject's target belongs to could only follow the others, since a softmax knows differences
    alone.
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
        read = [
            layer.read(self._windows(task, place), should_stop) for place in range(len(task.forget))
        ]
        everything = Positions(torch.cat([own.hidden for own in read]), torch.cat([own.targets for own in read]))
        self.rows = everything.targets.unique()
        self._ends = list(itertools.accumulate(len(own.targets) for own in read))
        self._forget = RowView.of(layer, everything, self.rows, should_stop)
        retained = self._sample(task)
        layer.check(retained[0])
        self._retain = RowView.of(layer, layer.read(retained, should_stop), self.rows, should_stop)
        self.change = torch.zeros(len(self.rows), len(layer.entry), device=everything.hidden.device)
        self._before, losses = self._retain.predicted(self.change)
        self._levels = torch.tensor(task.never_seen_nll, dtype=torch.float64)
        self._metric = _Metric.of(self._retain, self._before, config.damping)

    def start(self) -> Tensor:
        """The gap before the edit. From here on the level of a subject above its own is where it stands."""
        self._levels = torch.maximum(self._levels, self._losses(self.change))
        return self.gap()

    def gap(self) -> Tensor:
        """How far each subject is below its level, nats, float64 [subjects]; negative above it."""
        return self._levels - self._losses(self.change)

    def round(self, gap: Tensor) -> Tensor:
        """Solve and step once for every subject, `together` at a time; returns everybody's gap after it."""
        count = math.ceil(len(gap) / self._config.together)
        cuts = [len(gap) * number // count for number in range(count + 1)]
        for start, end in itertools.pairwise(cuts):
            gap = self._step(range(start, end), gap)
        return gap

    def _step(self, group: range, gap: Tensor) -> Tensor:
        pulls = torch.stack([self._pull(place).flatten() for place in group])
        ways = torch.stack([self._metric.cheapest(pull.view_as(self.change)).flatten() for pull in pulls])
        system = (ways @ pulls.T).double()
        scale = float(system.diagonal().mean())
        if not is_usable(scale):
            # No change of these rows moves these subjects' losses, or they are not finite.
            return gap
        system.diagonal().add_(self._config.ridge * scale)
        equations = _Equations(pulls, ways, torch.linalg.inv(system))
        step = self._least(equations, gap[list(group)].to(system.device))
        start, length = self.change, 1.0
        for _ in range(self._config.halvings + 1):
            self.change = start + length * step
            after = self.gap()
            # NaN compares false: a step into nowhere is halved like any other.
            if root_mean_square(after) < root_mean_square(gap):
                return after
            length /= 2
        self.change = start
        return gap

    def _least(self, equations: _Equations, gap: Tensor) -> Tensor:
        """The step that closes the gap and costs the retained users least: projected conjugate gradients.

        (Gould, Hribar and Nocedal, 2001.) The start closes the gap and every direction after it leaves it closed.
        """
        likely, _ = self._retain.predicted(self.change)
        step = equations.closing(gap).view_as(self.change)
        residual = equations.free(self._cost_of(likely, step) + self._owed(likely))
        towards = self._metric.cheapest(residual)
        direction, square = -towards, float((residual * towards).sum())
        goal = square * self._config.tolerance**2
        for _ in range(self._config.refinements):
            check_stop(self._should_stop)
            image = self._cost_of(likely, direction)
            curvature = float((direction * image).sum())
            if not (curvature > 0.0 and square > goal):
                break
            length = square / curvature
            step = step + length * direction
            residual = equations.free(residual + length * image)
            towards = self._metric.cheapest(residual)
            previous, square = square, float((residual * towards).sum())
            direction = -towards + (square / previous) * direction
        return step

    def _owed(self, likely: Tensor) -> Tensor:
        """Gradient at this change of what it costs the retained users: divergence from before, and the damping."""
        divergence = (likely - self._before).T @ self._retain.entering / len(likely)
        return divergence + self._metric.damped(self.change)

    def _cost_of(self, likely: Tensor, change: Tensor) -> Tensor:
        """The curvature of that cost times a change: Gauss-Newton, which is the Fisher matrix of a softmax."""
        moved = self._retain.entering @ change.T
        moved -= (likely * moved).sum(-1, keepdim=True)
        return (likely * moved).T @ self._retain.entering / len(likely) + self._metric.damped(change)

    def _losses(self, change: Tensor) -> Tensor:
        _, losses = self._forget.predicted(change)
        return torch.tensor(
            [
                smoothed_mean(losses[start:end], self._smoothing, self._items)
                for start, end in itertools.pairwise([0, *self._ends])
            ],
            dtype=torch.float64,
        )

    def _pull(self, place: int) -> Tensor:
        """Gradient of the subject's mean loss, [rows, rank]."""
        start, end = [0, *self._ends][place], self._ends[place]
        view = self._forget.part(start, end)
        weights = torch.full((end - start,), 1.0 / (end - start), device=view.own.device)
        return view.pull(self.change, weights, self._smoothing, self._items)

    def _windows(self, task: ForgetTask, place: int) -> list[Batch]:
        targets = None if task.forget_targets is None else [task.forget_targets[place]]
        return list(
            Windows(
                task.base.style,
                [task.forget[place]],
                targets,
                batch_size=self._config.batch_size,
                seed=task.seed,
            ).once()
        )

    def _sample(self, task: ForgetTask) -> list[Batch]:
        """Random windows of retained users that predict at least `retain_items` items, or all there are."""
        windows = Windows(
            task.base.style,
            task.retain,
            batch_size=self._config.batch_size,
            seed=task.seed + RETAIN_SEED_OFFSET,
        )
        return windows.sample_items(self._config.retain_items)


@dataclass(frozen=True)
class _Metric:
    """A cheap stand-in for what a change costs the retained users: (F_i + D) (C + c) in C's own axes, row by row.

    F_i = E p_i (1 - p_i), C = E z z'; D is `damping` times the F of a mean item of the catalogue and c the mean of C's
    eigenvalues, so that no row and no direction is free because the sample never met it.
    """

    axes: Tensor
    damping: Tensor
    cost: Tensor

    @classmethod
    def of(cls, retain: RowView, likely: Tensor, damping: float) -> _Metric:
        entering = retain.entering
        values, axes = torch.linalg.eigh(entering.T.double() @ entering.double() / len(entering))
        values = values.clamp(min=0.0).float()
        extra = damping * retain.spread * (values + values.mean())
        cost = uncertainty(likely).unsqueeze(-1) * values + extra
        return cls(axes.float(), extra, cost)

    def damped(self, change: Tensor) -> Tensor:
        """The damping's part of the cost's curvature, times a change."""
        return ((change @ self.axes) * self.damping) @ self.axes.T

    def cheapest(self, pull: Tensor) -> Tensor:
        """The metric's inverse times a gradient."""
        return ((pull @ self.axes) / self.cost) @ self.axes.T


@dataclass(frozen=True)
class _Equations:
    """One for each subject: `pulls` [subjects, parameters], `ways` their cheapest directions, `inverse` of both."""

    pulls: Tensor
    ways: Tensor
    inverse: Tensor

    def closing(self, gap: Tensor) -> Tensor:
        """The cheapest step in the metric that closes the gap, [parameters]."""
        return (self.inverse @ gap).to(self.ways) @ self.ways

    def free(self, residual: Tensor) -> Tensor:
        """What is left of a gradient [rows, rank] without what the subjects hold: its cheapest way moves none of them.

        The ridge leaves a little of it at each pass, and what the subjects hold may be most of it.
        """
        left = residual.flatten()
        for _ in range(_PASSES):
            held = self.inverse @ (self.ways @ left).double()
            left = left - held.to(left) @ self.pulls
        return left.view_as(residual)
