"""Predictions after a change of some items' rows of the output layer.

A change X [rows, rank] moves the logits of its items by X z. The other items enter the softmax only through the sum of
their exponentials, which stays the same. So the whole catalogue is computed once, and a round computes the logits of
the moved items only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.evaluation.gains import smoothed
from unlearning.methods.ladder.least_change_output.output_layer import OutputLayer
from unlearning.progress import ShouldStop, check_stop

# Most logits in memory at once: with a large catalogue, a few positions could otherwise take gigabytes.
_MOST_LOGITS = 2**23


@dataclass(frozen=True)
class RowView:
    """Some positions and their logits, reduced to the rows that may move.

    Attributes:
        inputs: z, [positions, rank].
        own: logits of the rows before any change, [positions, rows].
        rest: logsumexp of all other items' logits, [positions].
        certainty: mean over positions of the sum over all items of p squared, before any change.
    """

    inputs: Tensor
    own: Tensor
    rest: Tensor
    certainty: float

    @classmethod
    def of(
        cls, layer: OutputLayer, hidden: Tensor, rows: Tensor, should_stop: ShouldStop | None = None
    ) -> RowView:
        """Compute the whole catalogue's logits once, from the output layer's inputs `hidden` [positions, width].

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        own, rest, certain = [], [], 0.0
        for part in torch.split(hidden, max(1, _MOST_LOGITS // len(layer.weight))):
            check_stop(should_stop)
            logits = layer.logits(part)
            total = logits.logsumexp(-1, keepdim=True)
            certain += float((2 * (logits - total)).exp().sum(dtype=torch.float64))
            own.append(logits[:, rows])
            logits[:, rows] = -torch.inf
            rest.append(logits.logsumexp(-1))
        return cls(layer.adapter_inputs(hidden), torch.cat(own), torch.cat(rest), certain / len(hidden))

    def predicted(self, change: Tensor) -> tuple[Tensor, Tensor]:
        """After `change`: the rows' probabilities [positions, rows] and the logsumexp of all items [positions]."""
        logits = self.own + self.inputs @ change.T
        total = torch.logaddexp(logits.logsumexp(-1), self.rest)
        return (logits - total.unsqueeze(-1)).exp(), total


@dataclass(frozen=True)
class Subject:
    """A subject's positions; `target_rows` int64 [positions] is the index of each position's target among the rows."""

    view: RowView
    target_rows: Tensor

    def losses(self, change: Tensor, smoothing: float, items: int) -> Tensor:
        """Smoothed losses of the targets after `change`, float64 [positions]."""
        probabilities, _ = self.view.predicted(change)
        return smoothed(-self._of_targets(probabilities).log(), smoothing, items)

    def gradient(self, change: Tensor, smoothing: float, items: int) -> Tensor:
        """Gradient of the targets' mean smoothed loss with respect to the change, [rows, rank].

        The gradient of a smoothed loss -ln((1 - e) p + e / n) is that of the plain one times the share of (1 - e) p in
        the logarithm's argument: a target that is already surprising hardly counts.
        """
        probabilities, _ = self.view.predicted(change)
        reached = (1.0 - smoothing) * self._of_targets(probabilities)
        # The weight of a target with almost no probability is 0; without smoothing all weights are 1.
        weights = reached / (reached + smoothing / items) if smoothing > 0.0 else torch.ones_like(reached)
        weights = weights / len(weights)
        probabilities = probabilities * weights.unsqueeze(-1)
        probabilities[torch.arange(len(probabilities), device=probabilities.device), self.target_rows] -= (
            weights
        )
        return probabilities.T @ self.view.inputs

    def _of_targets(self, probabilities: Tensor) -> Tensor:
        return (
            probabilities.gather(-1, self.target_rows.unsqueeze(-1))
            .squeeze(-1)
            .clamp(min=torch.finfo(probabilities.dtype).tiny)
        )
