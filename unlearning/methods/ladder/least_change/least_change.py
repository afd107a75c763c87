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
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.progress import OnStep, Progress, ShouldStop


@dataclass(frozen=True)
class LeastChange:
    """Minimise 1/2 d' M d over changes d of the adapter, such that g_u' d = t_u - l_u for every subject u.

    l_u is the subject's mean NLL now, g_u its gradient, t_u the level it must reach (`ForgetTask.never_seen_nll`), and
    M = diag(F) + damping * mean(F) what a change costs the retained users: F is the empirical Fisher diagonal, the
    mean over their windows of the squared gradient. With G the matrix of all g_u the solution is

        d = M^-1 G' a,   (G M^-1 G' + ridge) a = t - l

    one small system with one row per subject. Losses are not linear, so a step is halved until it brings the subjects
    nearer to their levels, and the procedure is repeated up to `rounds` times from there. No round changes a subject's
    loss by more than `stride`; a longer distance takes more rounds. A subject whose loss is above its level before the
    edit is held at that loss, because lowering it would mean learning from the subject.

    If the edit raised the loss of the sampled retained windows, up to `repair_steps` training steps on retained users
    follow, until that loss is back at its value before the edit. Their gradients are projected orthogonally to the g_u.
    Then the equations are solved again. Repair trains on retained users only and stops at the loss before the edit, so
    that a sequence of requests does not make the model worse for everybody.

    With a `memory_weight`, the first round weights each item by the adapter's memory of it: g_u and t_u are then those
    of the weighted loss (docs/explanation/least-change.md). Otherwise the mean can reach its level while the
    best-remembered items stay as they are.

    Losses are smoothed as in the gate (`ForgetTask.smoothing`): items that are already surprising hardly count any
    more, so the edit has to move the items that are still remembered. The artefact `gap` is the root mean square of the
    remaining gaps in nats; `repair_steps` is the number of repair steps taken.
    """

    config: LeastChangeConfig = field(default_factory=LeastChangeConfig)
    name: ClassVar[str] = "least_change"
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
        """Solve and step until the gap is closed; then repair, and solve again.

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
        model = ChoiceModel(task.base, task.adapter, trainable=True)
        solver = Solver(model, task, config, should_stop)
        repair = Repair(model, task, config, should_stop) if config.repair_steps else None
        gap = solver.start()
        edit_strides = 1 + strides(gap, config.stride)
        gap = self._close(solver, gap, on_step, by_memory=config.memory_weight > 0)
        if repair is not None and repair.is_needed():
            repair.run(solver.directions(), strides=edit_strides, on_step=on_step)
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
        """Take rounds until the gap is closed or no rounds are left, and return the remaining gap.

        With `by_memory`, the rounds of the strides and the first one after them weight items by memory.
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
