"""A user's level: the expected loss under a model that never saw the user, which forgetting has to reach.

Levels are estimated from cross-fitted readings (`unlearning.levels.cross_fitting`): each user's losses under adapters
that were fitted without them. Pure arithmetic on those readings; our construction, checked against re-fits in
docs/benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.errors import InvalidEvaluation
from unlearning.levels.student_t import widening


@dataclass(frozen=True)
class NeverSeen:
    """One user's level, nats per training item.

    `smoothed_nll` is the mean smoothed negative log-likelihood (`EvaluationConfig.smoothing`) expected under a model
    that was fitted on as many users as the parent but never saw this one. `deviation` is the standard deviation of one
    such model's loss around that estimate: models vary with their seeds, and the estimate is a mean of few readings.
    `seen_smoothed_nll` is the loss under the parent that the levels were made for, which did see the user. Its distance
    below the level says whether the user could be recognised, whatever edits for others have done to the adapter since.
    If the levels were made for an adapter that had already been edited, that distance is too small, and the gate says
    `inconclusive` more often.

    Raises:
        InvalidEvaluation: a number that is not finite or negative, or a deviation of 0.
    """

    smoothed_nll: float
    deviation: float
    seen_smoothed_nll: float

    def __post_init__(self) -> None:
        if not (
            0.0 <= self.smoothed_nll < math.inf
            and 0.0 <= self.seen_smoothed_nll < math.inf
            and 0.0 < self.deviation < math.inf
        ):
            raise InvalidEvaluation(f"no user can have this level: {self}")


@dataclass(frozen=True)
class CrossReadings:
    """Smoothed losses, nats per item, float64, and the popularity of the items.

    `unseen` [readings, users] are each user's mean losses over training items under adapters that never saw the user;
    `seen` [users] are the same under the parent, which saw everybody.

    `held_out` [sampled users, items] are the losses of held-out items, averaged over the cross-fitted adapters that did
    see the user; `held_out_parent` are the same under the parent. Sampled users are those whom at least one
    cross-fitted adapter saw.

    `popularity` [users] is the mean of log(1 + users who met the item in training) over each user's training items;
    `held_out_popularity` [sampled users, items] is that logarithm for each held-out item.
    """

    unseen: Tensor
    seen: Tensor
    held_out: Tensor
    held_out_parent: Tensor
    popularity: Tensor
    held_out_popularity: Tensor


def levels(readings: CrossReadings, items: Sequence[int]) -> tuple[NeverSeen, ...]:
    """Every user's level; `items` counts each user's training items.

    * The estimate is the mean of the user's readings, corrected for size. Cross-fitted adapters saw fewer users than
      the parent, so they predict everything less well, and popular items most of all: these gain most from more users.
      The correction is the change of the loss of held-out items between a cross-fitted adapter and the parent, fitted
      as a + b log(1 + popularity) by least squares, at the popularity of the user's own items.
    * The variance of one reading is estimated from the differences between each user's readings, as a + b / n for n
      items, by least squares over all users. The mean of k readings adds a k-th of it. Few users estimate it only
      roughly, so the deviation is that of Student's t, which is wider (`unlearning.levels.student_t.widening`).

    Raises:
        InvalidEvaluation: fewer than two readings of each user, fewer than two users, shapes that do not fit, or
            readings that do not vary at all.
    """
    count = torch.tensor(list(items), dtype=torch.float64)
    _check(readings, len(count))
    means = (readings.unseen.mean(0) + _shift(readings)).clamp(min=0.0)
    made = len(readings.unseen)
    # Two degrees of freedom go to the fitted a and b.
    wider = widening(len(count) * (made - 1) - 2)
    deviations = (reading_variance(readings.unseen, count) * (1.0 + 1.0 / made)).sqrt() * wider
    return tuple(
        NeverSeen(*own)
        for own in zip(means.tolist(), deviations.tolist(), readings.seen.tolist(), strict=True)
    )


def _shift(readings: CrossReadings) -> Tensor:
    """The expected change of each user's loss when an adapter is fitted on all of the parent's users instead of a part.

    In nats, float64 [users]; see `levels`.
    """
    gained = (readings.held_out_parent - readings.held_out).flatten()
    popularity = readings.held_out_popularity.flatten()
    middle = popularity.mean()
    spread = popularity - middle
    square = float(spread.square().sum())
    # If all items are equally popular, no slope can be estimated.
    slope = float((spread * gained).sum()) / square if square > 0.0 else 0.0
    return gained.mean() + slope * (readings.popularity - middle)


def reading_variance(unseen: Tensor, count: Tensor) -> Tensor:
    """Variance of one reading per user, float64 [users]: the fitted a + b / n with a and b at least 0."""
    own = unseen.var(dim=0)
    design = torch.stack([torch.ones_like(count), 1.0 / count], dim=1)
    # Users with few items vary more, and the variance of a variance is proportional to its square.
    weight = count.sqrt().unsqueeze(1)
    solution = torch.linalg.lstsq(design * weight, own.unsqueeze(1) * weight, driver="gelsd").solution
    constant, slope = (float(value) for value in solution.squeeze(1))
    if constant < 0.0:
        constant, slope = 0.0, float((own * count).mean())
    elif slope < 0.0:
        constant, slope = float(own.mean()), 0.0
    fitted = constant + slope / count
    if not bool((fitted > 0).all()):
        raise InvalidEvaluation("readings that do not vary tell nothing: are they copies of one adapter's?")
    return fitted


def _check(readings: CrossReadings, users: int) -> None:
    per_user = (readings.seen, readings.popularity)
    held_out = (readings.held_out, readings.held_out_parent, readings.held_out_popularity)
    shapes = (readings.unseen.shape[1:], *(values.shape for values in per_user))
    if (
        readings.unseen.ndim != 2
        or len(readings.unseen) < 2
        or users < 2
        or any(shape != (users,) for shape in shapes)
        or readings.held_out.ndim != 2
        or any(values.shape != readings.held_out.shape for values in held_out)
        or not readings.held_out.numel()
    ):
        raise InvalidEvaluation("each of at least two users needs at least two readings, and held-out ones")
    if not all(bool(torch.isfinite(values).all()) for values in (readings.unseen, *per_user, *held_out)):
        raise InvalidEvaluation("readings must be finite")
