"""What a change of some items' rows of the output layer does to predictions, without touching the other rows.

A change X [rows, rank] moves the logits of its items by X z. Of all the others only the sum of their exponentials
matters, and it stays: so after one look at the whole catalogue a round costs as many logits as items move.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.evaluation.gains import smoothed
from unlearning.methods.ladder.least_change_output.output_layer import OutputLayer
from unlearning.progress import ShouldStop, check_stop

# Most logits that are held at a time: a large catalogue must not turn some positions into gigabytes.
_MOST_LOGITS = 2**23


@dataclass(frozen=True)
class RowView:
    """Some positions, seen by the rows that may move.

    Attributes:
        entering: z, [positions, rank].
        own: logits of the rows before any change, [positions, rows].
        rest: log of the sum of all other items' exponentiated logits, [positions].
        certainty: mean over positions of the sum over items of p squared, before any change.
    """

    entering: Tensor
    own: Tensor
    rest: Tensor
    certainty: float

    @classmethod
    def of(
        cls, layer: OutputLayer, hidden: Tensor, rows: Tensor, should_stop: ShouldStop | None = None
    ) -> RowView:
        """Look at the whole catalogue once; `hidden` [positions, width] enters the output layer.

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
        return cls(layer.entering(hidden), torch.cat(own), torch.cat(rest), certain / len(hidden))

    def predicted(self, change: Tensor) -> tuple[Tensor, Tensor]:
        """After a change the rows' probabilities [positions, rows], and log of the sum of all items [positions]."""
        logits = self.own + self.entering @ change.T
        total = torch.logaddexp(logits.logsumexp(-1), self.rest)
        return (logits - total.unsqueeze(-1)).exp(), total


@dataclass(frozen=True)
class Subject:
    """A subject's positions; `places` [positions] says where among the rows each one's target is."""

    view: RowView
    places: Tensor

    def losses(self, change: Tensor, smoothing: float, items: int) -> Tensor:
        """Of the targets after a change, smoothed, float64 [positions]."""
        likely, _ = self.view.predicted(change)
        return smoothed(-self._of_targets(likely).log(), smoothing, items)

    def pull(self, change: Tensor, smoothing: float, items: int) -> Tensor:
        """Gradient of the targets' mean smoothed loss with respect to the change, [rows, rank].

        A smoothed loss -ln((1 - e) p + e / n) moves with the plain one by the share of (1 - e) p in its argument: a
        target that is a surprise already hardly counts.
        """
        likely, _ = self.view.predicted(change)
        reached = (1.0 - smoothing) * self._of_targets(likely)
        # A target that is as good as impossible moves nothing; without smoothing every target counts alike.
        weights = reached / (reached + smoothing / items) if smoothing > 0.0 else torch.ones_like(reached)
        weights = weights / len(weights)
        likely = likely * weights.unsqueeze(-1)
        likely[torch.arange(len(likely), device=likely.device), self.places] -= weights
        return likely.T @ self.view.entering

    def _of_targets(self, likely: Tensor) -> Tensor:
        return (
            likely.gather(-1, self.places.unsqueeze(-1)).squeeze(-1).clamp(min=torch.finfo(likely.dtype).tiny)
        )
