"""What a change of some items' rows of the output layer does to predictions, without touching the other rows.

A change X [rows, rank] moves the logits of its items by X z. Of all the others only the sum of their exponentials
matters, and it stays: so after one look at the whole catalogue a round costs as many logits as items move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unlearning.evaluation.gains import smoothed
from unlearning.methods.output_layer import OutputLayer, Positions
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
        place: of each position's target among the rows, -1 if it is none of them, [positions].
        other: logit of the target where it is none of the rows, 0 elsewhere, [positions].
        spread: mean over items of p (1 - p), of all positions: how uncertain a mean item is.
    """

    entering: Tensor
    own: Tensor
    rest: Tensor
    place: Tensor
    other: Tensor
    spread: float

    @classmethod
    def of(
        cls, layer: OutputLayer, positions: Positions, rows: Tensor, should_stop: ShouldStop | None = None
    ) -> RowView:
        """Look at the whole catalogue once.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        items = len(layer.weight)
        place_of = torch.full((items,), -1, dtype=torch.int64, device=rows.device)
        place_of[rows] = torch.arange(len(rows), device=rows.device)
        own, rest, targets, certain = [], [], [], 0.0
        size = max(1, _MOST_LOGITS // items)
        for start in range(0, len(positions.hidden), size):
            check_stop(should_stop)
            part = slice(start, start + size)
            logits = layer.logits(positions.hidden[part])
            total = logits.logsumexp(-1, keepdim=True)
            certain += float((2 * (logits - total)).exp().sum(dtype=torch.float64))
            own.append(logits[:, rows])
            targets.append(logits.gather(-1, positions.targets[part].unsqueeze(-1)).squeeze(-1))
            logits[:, rows] = -torch.inf
            rest.append(logits.logsumexp(-1))
        place = place_of[positions.targets]
        return cls(
            entering=layer.entering(positions.hidden),
            own=torch.cat(own),
            rest=torch.cat(rest),
            place=place,
            other=torch.cat(targets) * (place < 0),
            spread=(1.0 - certain / len(positions.hidden)) / items,
        )

    def part(self, start: int, end: int) -> RowView:
        """Some of the positions."""
        part = slice(start, end)
        return replace(
            self,
            entering=self.entering[part],
            own=self.own[part],
            rest=self.rest[part],
            place=self.place[part],
            other=self.other[part],
        )

    def predicted(self, change: Tensor) -> tuple[Tensor, Tensor]:
        """Of the rows' items their probabilities [positions, rows], and every target's loss [positions], after it."""
        logits = self.own + self.entering @ change.T
        total = torch.logaddexp(logits.logsumexp(-1), self.rest)
        of_rows = logits.gather(-1, self.place.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        target = torch.where(self.place >= 0, of_rows, self.other)
        return (logits - total.unsqueeze(-1)).exp(), total - target

    def pull(self, change: Tensor, weights: Tensor, smoothing: float, items: int) -> Tensor:
        """Gradient of the weighted sum of the targets' smoothed losses at this change, [rows, rank].

        A smoothed loss -ln((1 - e) p + e / n) moves with the plain one by the share of (1 - e) p in its argument: a
        target that is a surprise already hardly counts.
        """
        likely, losses = self.predicted(change)
        if smoothing > 0.0:
            reached = (1.0 - smoothing) * (-losses).exp()
            weights = weights * reached / (reached + smoothing / items)
        likely = likely * weights.unsqueeze(-1)
        hit = self.place >= 0
        likely[hit, self.place[hit]] -= weights[hit]
        return likely.T @ self.entering


def smoothed_mean(losses: Tensor, smoothing: float, items: int) -> float:
    """Mean over positions of the smoothed losses, nats."""
    return float(smoothed(losses, smoothing, items).mean())


def uncertainty(likely: Tensor) -> Tensor:
    """Mean over positions of p (1 - p), per row: [rows]."""
    return (likely * (1.0 - likely)).mean(0)


def is_usable(scale: float) -> bool:
    """Whether a system of this scale can be solved."""
    return 0.0 < scale < math.inf
