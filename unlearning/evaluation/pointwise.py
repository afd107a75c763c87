"""What a style with labels is measured by, instead of ranks: how well labels are told, and how likely they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from recommender.pointwise import area_under_curve, components, log_odds
from unlearning.evaluation.reading import Reading
from unlearning.evaluation.report import Direction, HeldOutAuc, Metric


def labels_of(readings: Sequence[Reading]) -> Tensor:
    """The labels of all events, bool [events]."""
    return torch.cat([reading.liked for reading in readings if reading.liked is not None])


def odds_of(readings: Sequence[Reading]) -> Tensor:
    """The log-odds of yes of all events, float64 [events]."""
    return log_odds(torch.cat([reading.nll for reading in readings]), labels_of(readings))


def latest(readings: Sequence[Reading], start: int, end: int | None = None) -> list[Reading]:
    """The readings of each sequence's events from `start` on, up to `end`; both may count from the end."""
    return [
        Reading(one.nll[start:end], one.ranks, None if one.liked is None else one.liked[start:end])
        for one in readings
    ]


def auc(name: str, readings: Sequence[Reading], direction: Direction) -> Metric:
    """The area under the curve of all events; None if they all have one label."""
    liked = labels_of(readings)
    both = bool(liked.any()) and not bool(liked.all())
    odds = odds_of(readings)
    value = area_under_curve(odds[liked], odds[~liked]) if both else None
    return Metric(name, value, direction, len(liked))


def log_loss(name: str, readings: Sequence[Reading], direction: Direction) -> Metric:
    """The mean loss of all events in nats."""
    nll = torch.cat([reading.nll for reading in readings]).double()
    return Metric(name, float(nll.mean()), direction, len(nll))


def held_out_auc(parent: Sequence[Reading], candidate: Sequence[Reading], held_out: int) -> HeldOutAuc:
    """Both models' areas over each user's last `held_out` events, with the standard error of their difference.

    The error is that of DeLong et al. (1988) for two areas over the same events, with the components summed by user
    (Obuchowski, 1997): a user's events may be alike.
    """
    before, after = latest(parent, -held_out), latest(candidate, -held_out)
    liked = labels_of(before)
    positives, negatives = int(liked.sum()), int((~liked).sum())
    if not positives or not negatives:
        return HeldOutAuc(None, None, 0.0, len(before), positives, negatives)
    areas, influence = [], torch.zeros(len(liked), dtype=torch.float64)
    for sign, readings in ((-1.0, before), (1.0, after)):
        odds = odds_of(readings)
        own = components(odds, liked)
        areas.append(area_under_curve(odds[liked], odds[~liked]))
        influence += sign * (own - areas[-1]) / torch.where(liked, positives, negatives)
    users = torch.repeat_interleave(
        torch.arange(len(before)), torch.tensor([len(reading.nll) for reading in before])
    )
    of_user = torch.zeros(len(before), dtype=torch.float64).index_add_(0, users, influence)
    spread = float(of_user.square().sum()) * len(before) / max(len(before) - 1, 1)
    return HeldOutAuc(areas[0], areas[1], math.sqrt(spread), len(before), positives, negatives)
