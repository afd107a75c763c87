"""Least change in the output layer: least change for the cost of a few forward passes, without a backward pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from recommender import Adapter, Base
from unlearning.errors import InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.methods.ladder.least_change.solver import root_mean_square, strides
from unlearning.methods.ladder.least_change_output.config import LeastChangeOutputConfig
from unlearning.methods.ladder.least_change_output.output_layer import OutputLayer, output_layer_requirement
from unlearning.methods.ladder.least_change_output.solver import OutputSolver
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.progress import OnStep, Progress, ShouldStop


@dataclass(frozen=True)
class LeastChangeOutput:
    """Least change that edits only the adapter's LoRA on the output layer; all other parts stay as they are.

    The gradient of a subject's loss there needs no backward pass. With z the input of the layer's B, p the predicted
    probabilities and y the targets, it is the mean over positions of w (p - y) z', where w is the weight that smoothing
    gives a position. The layer's input does not depend on the edit. So one forward pass over the subjects' windows
    serves all rounds, and one over a sample of retained users' prompts measures the cost for retained users. The
    artefact `gap` is the root mean square of the remaining gaps in nats.
    """

    config: LeastChangeOutputConfig = field(default_factory=LeastChangeOutputConfig)
    name: ClassVar[str] = "least_change_output"
    needs_levels: ClassVar[bool] = True
    card: ClassVar[MethodCard] = MethodCard(
        title="Least change in the output layer",
        paper=None,
        cost_class="forward",
        published_defaults="none: our own method",
        reconstruction="our own; least change on the rows of the subjects' items, gradients in closed form",
    )

    def cannot_edit(self, base: Base, adapter: Adapter) -> str | None:
        """See `output_layer_requirement`: the adapter must cover the output layer."""
        return output_layer_requirement(base, adapter)

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Read the layer's inputs, then solve and step until every subject's loss is at its level.

        Raises:
            InvalidTask: the task does not say which level each subject must reach, or the adapter does not cover the
                output layer.
            Interrupted: `should_stop` answered yes.
        """
        if task.never_seen_nll is None:
            raise InvalidTask(
                "least_change_output needs never_seen_nll, each subject's mean loss under a model that never saw "
                "them: see unlearning.levels.never_seen"
            )
        watch, config = Stopwatch(), self.config
        layer = OutputLayer(task.base, task.adapter)
        with torch.no_grad():
            solver = OutputSolver(layer, task, config, should_stop)
            gap = solver.start()
            most = strides(gap, config.stride) + config.rounds
            for number in range(1, most + 1):
                if root_mean_square(gap) <= config.close_enough:
                    break
                gap = solver.round(gap)
                if on_step is not None:
                    on_step(Progress("descent", number, most, root_mean_square(gap)))
            adapter = layer.changed(solver.rows, solver.change)
        return Candidate(
            adapter=adapter,
            artefacts={"gap": torch.tensor(root_mean_square(gap))},
            cost=Cost(watch.seconds, layer.forwards, 0, layer.forwards),
        )
