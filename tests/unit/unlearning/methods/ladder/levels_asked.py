"""What the tests of both least changes ask for: levels so far above the subjects' losses."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from recommender import Adapter
from unlearning import ForgetTask
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed

Sequences = tuple[tuple[int, ...], ...]


def item_losses(task: ForgetTask, adapter: Adapter | None, sequences: Sequences) -> list[Tensor]:
    """Losses of every item, with the task's smoothing; an adapter of None is the bare base."""
    found = item_log_likelihoods(task.base, adapter, sequences)
    return [smoothed(-own, task.smoothing, len(task.base.catalogue)) for own in found]


def losses(task: ForgetTask, adapter: Adapter, sequences: Sequences) -> Tensor:
    """Each subject's mean loss."""
    return torch.stack([own.mean() for own in item_losses(task, adapter, sequences)])


def asked(task: ForgetTask, more: float | Tensor) -> ForgetTask:
    """The task with levels of the subjects' losses and so much more."""
    levels = losses(task, task.adapter, task.forget) + more
    return replace(task, never_seen_nll=tuple(levels.tolist()))
