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

# What the subjects hold may be most of a gradient, and the ridge leaves its share of it at each pass.
_PASSES = 2


class OutputSolver:
    """Moves rows of the output layer so that every subject's loss comes to its level.

    `change` [rows, rank] is where it stands, `rows` the items it moves: those that the subjects are to be forgotten
    for. Other rows could only follow these, since a softmax knows differences alone.
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
        self.change = torch.zeros(len(self.rows), len(layer.entry), device=self.rows.device)

    def start(self) -> Tensor:
        """The gap before the edit. From here on the level of a subject above its own is where it stands."""
        self._levels = torch.maximum(self._levels, self._losses())
        return self.gap()

    def gap(self) -> Tensor:
        """How far each subject is below its level, nats, float64 [subjects]; negative above it."""
        return self._levels - self._losses()

    def round(self, gap: Tensor) -> Tensor:
        """Solve and step once for every subject, `together` at a time; returns everybody's gap after it."""
        count = math.ceil(len(gap) / self._config.together)
        cuts = [len(gap) * number // count for number in range(count + 1)]
        for start, end in itertools.pairwise(cuts):
            gap = self._step(slice(start, end), gap)
        return gap

    def pull(self, place: int) -> Tensor:
        """Gradient of a subject's mean loss with respect to the change, [rows, rank]."""
        return self._subjects[place].pull(self.change, self._smoothing, self._items)

    def _step(self, group: slice, gap: Tensor) -> Tensor:
        """Move for these subjects, as far as it helps."""
        pulls = torch.stack([self.pull(place).flatten() for place in range(len(gap))[group]])
        equations = Equations.of(pulls, self._retained, self._config.ridge)
        if equations is None:
            # No change of these rows moves these subjects' losses, or they are not finite.
            return gap
        wanted = gap[group].clamp(max=self._config.stride)
        closing = equations.closing(wanted.to(pulls.device)).view_as(self.change)
        cheaper = self._cheaper(equations, closing)
        start, before = self.change, root_mean_square(gap)
        left = gap.clone()
        left[group] -= wanted
        halves = [0.5**number for number in range(self._config.halvings + 1)]
        # Far from where the equations were taken what makes a step cheaper opens the gap again: so that part goes
        # first where half of what was asked is not reached with it, and the step itself only where it does not help
        # alone.
        for length, share, enough in [
            *((1.0, half, (before + root_mean_square(left)) / 2) for half in halves),
            *((half, 0.0, before) for half in halves),
        ]:
            self.change = start + length * (closing + share * cheaper)
            after = self.gap()
            # NaN compares false: a step into nowhere is halved like any other.
            if root_mean_square(after) < enough:
                return after
        self.change = start
        return gap

    def _cheaper(self, equations: Equations, closing: Tensor) -> Tensor:
        """What makes the step `closing` cost the retained users least and leaves the gap closed: projected conjugate
        gradients.

        (Gould, Hribar and Nocedal, SIAM J. Sci. Comput. 23, 2001.) The start is the closed form, the cheapest step in
        the metric; no direction after it moves a subject.
        """
        retained = self._retained
        likely = retained.likely(self.change)
        step = closing
        residual = equations.free(retained.curvature(likely, step) + retained.slope(likely, self.change))
        towards = retained.cheapest(residual)
        direction, square = -towards, float((residual * towards).sum())
        goal = square * self._config.tolerance**2
        for _ in range(self._config.refinements):
            check_stop(self._should_stop)
            image = retained.curvature(likely, direction)
            curved = float((direction * image).sum())
            if not (curved > 0.0 and square > goal):
                break
            length = square / curved
            step = step + length * direction
            residual = equations.free(residual + length * image)
            towards = retained.cheapest(residual)
            previous, square = square, float((residual * towards).sum())
            direction = (square / previous) * direction - towards
        return step - closing

    def _losses(self) -> Tensor:
        return torch.stack(
            [own.losses(self.change, self._smoothing, self._items).mean() for own in self._subjects]
        ).cpu()


@dataclass(frozen=True)
class Equations:
    """One for each subject: `pulls` [subjects, parameters], `ways` their cheapest directions, `inverse` [subjects,
    subjects] of what each subject's way is worth to each, with a ridge.
    """

    pulls: Tensor
    ways: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, pulls: Tensor, retained: Retained, ridge: float) -> Equations | None:
        """None if nothing can be solved: the adapter lets nothing through, or a number is not finite."""
        if not retained.rank:
            return None
        ways = torch.stack([retained.cheapest(pull.view(-1, retained.rank)).flatten() for pull in pulls])
        system = (ways @ pulls.T).double()
        scale = float(system.diagonal().mean())
        if not 0.0 < scale < math.inf:
            return None
        system.diagonal().add_(ridge * scale)
        return cls(pulls, ways, torch.linalg.inv(system))

    def closing(self, gap: Tensor) -> Tensor:
        """The cheapest step in the metric that closes the gap, [parameters]."""
        return (self.inverse @ gap).to(self.ways) @ self.ways

    def free(self, residual: Tensor) -> Tensor:
        """A gradient [rows, rank] without what the subjects hold of it: its cheapest way moves none of them."""
        left = residual.flatten()
        for _ in range(_PASSES):
            held = self.inverse @ (self.ways @ left).double()
            left = left - held.to(left) @ self.pulls
        return left.view_as(residual)


def _subjects(
    layer: OutputLayer, task: ForgetTask, config: LeastChangeOutputConfig, should_stop: ShouldStop | None
) -> tuple[Tensor, Sequence[Subject]]:
    """The items to forget, and each subject's positions seen by their rows."""
    read = list[tuple[Tensor, Tensor]]()
    for place, sequence in enumerate(task.forget):
        targets = None if task.forget_targets is None else [task.forget_targets[place]]
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
