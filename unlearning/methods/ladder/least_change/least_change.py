"""Least change: the smallest edit that brings every subject's loss to the level of a model that never saw them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from unlearning.errors import InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.repair import Repair
from unlearning.methods.ladder.least_change.solver import Solver, root_mean_square, strides
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.descent import ItemModel
from unlearning.progress import OnStep, Progress, ShouldStop


@dataclass(frozen=True)
class LeastChange:
    """Minimise 1/2 d' M d over changes d of the adapter, such that g_u' d = t_u - l_u for every subject u.

    l_u is the subject's mean NLL now, g_u its gradient, t_u the level it must reach (`ForgetTask.never_seen_nll`), and
    M = diag(F) + damping * mean(F) what a change costs the retained users: F is the empirical Fisher diagonal, the
    mean over their windows of the squared gradient. With G the matrix of all g_u the solution is

        d = M^-1 G' a,   (G M^-1 G' + ridge) a = t - l

    one small system with one row per subject. Losses are not linear, so a step is halved until it brings the subjects
    nearer to their levels, and the whole is repeated up to `rounds` times from where it led. A way of many nats is
    walked in strides: no round asks more than `stride` of a subject. A subject that stands
    above its level before the edit is held where it is: bringing it down would be learning from it.

    Where the sampled retained windows lost by the edit, up to `repair_steps` steps of training on retained users
    follow, their gradients without what they share with the g_u, until those windows have back what they lost; then the
    equations are solved again. Repair learns from nobody but the retained and stops where the edit began, so
    requests do not add up to a model that serves everybody worse.

    With a `memory_weight` the first round moves items by what the adapter remembered of them, g_u and t_u being of the
    loss weighted by it (docs/explanation/least-change.md): a mean can also be reached while the best-remembered
    items stay.

    The level is the method. Losses are smoothed as the gate smooths them (`ForgetTask.smoothing`): beyond a point, an
    item that is already surprising counts no more, and what is still remembered is what must move. The artefact `gap`
    is the root mean square of what is left of the way, in nats; `repair_steps` counts the steps taken.
    """

    config: LeastChangeConfig = field(default_factory=LeastChangeConfig)
    name: ClassVar[str] = "least_change"
    exact: ClassVar[bool] = False
    needs_levels: ClassVar[bool] = True
    card: ClassVar[MethodCard] = MethodCard(
        title="Least change",
        paper=None,
        cost_class="gradient",
        published_defaults="none: our own method",
        reconstruction="our own; natural-gradient steps with one constraint per subject, then projected repair",
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
                "least_change needs never_seen_nll, each subject's mean loss under a model that never saw them: "
                "see unlearning.levels.never_seen"
            )
        watch, config = Stopwatch(), self.config
        model = ItemModel(task.base, task.adapter, trainable=True)
        solver = Solver(model, task, config, should_stop)
        repair = Repair(model, task, config, should_stop) if config.repair_steps else None
        gap = solver.start()
        walked = 1 + strides(gap, config.stride)
        gap = self._close(solver, gap, on_step, by_memory=config.memory_weight > 0)
        if repair is not None and repair.is_needed():
            repair.run(solver.directions(), strides=walked, on_step=on_step)
            gap = self._close(solver, solver.gap(), on_step)
        return Candidate(
            adapter=model.adapter(),
            artefacts={
                "gap": torch.tensor(root_mean_square(gap)),
                "repair_steps": torch.tensor(0 if repair is None else repair.steps),
            },
            cost=Cost(watch.seconds, model.forwards, model.backwards, model.backwards),
        )

    def _close(
        self, solver: Solver, gap: Tensor, on_step: OnStep | None, *, by_memory: bool = False
    ) -> Tensor:
        """Take rounds until the gap is closed or all are spent; those up to the last stride may be `by_memory`.

        Returns what is left.
        """
        first = strides(gap, self.config.stride)
        most = first + self.config.rounds
        for number in range(1, most + 1):
            if root_mean_square(gap) <= self.config.close_enough:
                break
            gap = solver.round(gap, by_memory=by_memory and number <= first + 1)
            if on_step is not None:
                on_step(Progress("descent", number, most, root_mean_square(gap)))
        return gap
