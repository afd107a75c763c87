"""Least change: the smallest edit that brings every subject's loss to the level of a model that never saw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.losses import IGNORED
from unlearning.methods.card import MethodCard
from unlearning.methods.curvature import shaped_like
from unlearning.methods.descent import RETAIN_SEED_OFFSET, ItemModel
from unlearning.methods.gradients import summed_loss
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.windows import Batch, Windows
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop


@dataclass(frozen=True)
class LeastChangeConfig:
    """How the edit is solved for.

    Attributes:
        rounds: how often losses and gradients are taken anew and the equation solved again.
        retain_windows: random windows of retained users that the curvature is estimated on.
        damping: share of the mean curvature that is added to each parameter's, so that none moves without bound.
        ridge: share of their mean that is added to the diagonal of the subjects' own equations; more of it keeps two
            subjects whose gradients nearly agree from pulling the adapter apart.
        halvings: most halvings of a step that does not bring the subjects nearer to their levels.
        together: most subjects whose equations are solved at once. Their gradients are held in memory; more subjects
            are taken group by group within each round.
        batch_size: most windows in a batch.

    Raises:
        InvalidMethodConfig: a value out of range.
    """

    rounds: int = 3
    retain_windows: int = 64
    damping: float = 0.1
    ridge: float = 1e-3
    halvings: int = 4
    together: int = 64
    batch_size: int = 16

    def __post_init__(self) -> None:
        for name in ("rounds", "retain_windows", "together", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidMethodConfig(f"{name} must be at least 1, not {getattr(self, name)}")
        if not (self.damping > 0 and self.ridge > 0 and self.halvings >= 0):
            raise InvalidMethodConfig(f"damping and ridge must be positive, halvings at least 0: {self}")


@dataclass(frozen=True)
class LeastChange:
    """Minimise 1/2 d' M d over changes d of the adapter, such that g_u' d = t_u - l_u for every subject u.

    l_u is the subject's mean NLL now, g_u its gradient, t_u the level it must reach (`ForgetTask.never_seen_nll`), and
    M = diag(F) + damping * mean(F) what a change costs the retained users: F is the empirical Fisher diagonal, the
    mean over their windows of the squared gradient. With G the matrix of all g_u the solution is

        d = M^-1 G' a,   (G M^-1 G' + ridge) a = t - l

    one small system with one row per subject. Losses are not linear, so a step is halved until it brings the subjects
    nearer to their levels, and the whole is repeated `rounds` times from where it led. A subject that stands above its
    level before the edit is held where it is: bringing it down would be learning from it.

    The level is the method. The artefact `gap` is the root mean square of what is left of it, in nats.
    """

    config: LeastChangeConfig = field(default_factory=LeastChangeConfig)
    name: ClassVar[str] = "least_change"
    exact: ClassVar[bool] = False
    card: ClassVar[MethodCard] = MethodCard(
        title="Least change",
        paper=None,
        cost_class="gradient",
        published_defaults="none: our own method",
        reconstruction="our own; natural-gradient steps with one constraint per subject (Gauss-Newton for least norms)",
    )

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Solve, step, repeat.

        Raises:
            InvalidTask: the task does not say which level each subject must reach.
            Interrupted: `should_stop` answered yes.
        """
        if task.never_seen_nll is None:
            raise InvalidTask(
                "least_change needs never_seen_nll, each subject's mean NLL under a model that never saw them: "
                "see unlearning.never_seen"
            )
        watch = Stopwatch()
        model = ItemModel(task.base, task.adapter, trainable=True)
        solver = _Solver(model, task, self.config, should_stop)
        gap = solver.start()
        for number in range(1, self.config.rounds + 1):
            for group in solver.groups():
                gap = solver.step(group, gap)
            if on_step is not None:
                on_step(Progress("descent", number, self.config.rounds, _root_mean_square(gap)))
        return Candidate(
            adapter=model.adapter(),
            artefacts={"gap": torch.tensor(_root_mean_square(gap))},
            cost=Cost(watch.seconds, model.forwards, model.backwards, model.backwards),
        )


class _Solver:
    def __init__(
        self, model: ItemModel, task: ForgetTask, config: LeastChangeConfig, should_stop: ShouldStop | None
    ) -> None:
        assert task.never_seen_nll is not None
        self._model = model
        self._config = config
        self._should_stop = should_stop
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

    def groups(self) -> list[range]:
        """The subjects' places, `together` at a time."""
        size, count = self._config.together, len(self._subjects)
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    def start(self) -> Tensor:
        """The gap before the edit. From here on the level of a subject above its own is where it stands."""
        self._levels = torch.maximum(self._levels, self._losses())
        return self.gap()

    def gap(self) -> Tensor:
        """How far each subject is below its level, nats, float64 [subjects]; negative above it."""
        return self._levels - self._losses()

    def _losses(self) -> Tensor:
        losses = []
        with torch.no_grad():
            for batches in self._subjects:
                check_stop(self._should_stop)
                total = sum(float(summed_loss(self._model.logits(batch), batch.targets)) for batch in batches)
                losses.append(total / _items(batches))
        return torch.tensor(losses, dtype=torch.float64)

    def step(self, group: range, gap: Tensor) -> Tensor:
        """Move the adapter for these subjects, as far as it helps; returns everybody's gap after it."""
        wanted = gap[group.start : group.stop]
        gradients = torch.stack([self._gradient(self._subjects[place]) for place in group])
        directions = gradients * self._inverse
        system = (directions @ gradients.T).double().cpu()
        system.diagonal().add_(self._config.ridge * system.diagonal().mean())
        multipliers = torch.linalg.solve(system, wanted)
        change = multipliers.to(directions) @ directions
        start = [parameter.detach().clone() for parameter in self._parameters]
        length = 1.0
        for _ in range(self._config.halvings + 1):
            self._place(start, length * change)
            after = self.gap()
            # NaN compares false: a step into nowhere is halved like any other.
            if _root_mean_square(after) < _root_mean_square(gap):
                return after
            length /= 2
        self._place(start, torch.zeros_like(change))
        return gap

    def _curvature(self, task: ForgetTask) -> Tensor:
        windows = Windows(task.base.style, task.retain, batch_size=1, seed=task.seed + RETAIN_SEED_OFFSET)
        batches = windows.sample(self._config.retain_windows)
        total = torch.zeros_like(self._gradient(batches[:1]))
        for batch in batches:
            total += self._gradient([batch]).square()
        mean = total / len(batches)
        return mean + self._config.damping * mean.mean()

    def _gradient(self, batches: Sequence[Batch]) -> Tensor:
        """Of the mean NLL per item, [parameters]."""
        check_stop(self._should_stop)
        total: Tensor | None = None
        for batch in batches:
            loss = summed_loss(self._model.logits(batch), batch.targets)
            found = torch.cat([part.flatten() for part in torch.autograd.grad(loss, self._parameters)])
            total = found if total is None else total + found
        assert total is not None
        return total / _items(batches)

    @torch.no_grad()
    def _place(self, start: Sequence[Tensor], change: Tensor) -> None:
        for parameter, origin, step in zip(
            self._parameters, start, shaped_like(change, self._parameters), strict=True
        ):
            parameter.copy_(origin + step)


def _items(batches: Sequence[Batch]) -> int:
    return sum(int((batch.targets != IGNORED).sum()) for batch in batches)


def _root_mean_square(gap: Tensor) -> float:
    return math.sqrt(float(gap.square().mean())) if bool(torch.isfinite(gap).all()) else math.nan
