"""Every window of a task's users in one batch: what the tests of gradient methods measure on."""

from __future__ import annotations

import torch
from torch import Tensor

from recommender import Adapter
from recommender.choices import Batch
from unlearning import ForgetTask, Method, Progress
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel, DescentConfig, forget_windows, retain_windows

# No task of the tests has more windows than this.
WHOLE = 200


def forget_batch(task: ForgetTask) -> Batch:
    """All windows of the subjects; what is to be forgotten are the targets."""
    (batch,) = forget_windows(task, DescentConfig(batch_size=WHOLE)).once()
    return batch


def retain_batch(task: ForgetTask) -> Batch:
    """All windows of everybody else."""
    (batch,) = retain_windows(task, DescentConfig(batch_size=WHOLE)).once()
    return batch


def logits(task: ForgetTask, adapter: Adapter, batch: Batch) -> Tensor:
    """Logits of the base with `adapter` on this batch."""
    return ChoiceModel(task.base, adapter).logits(batch)


def nll(task: ForgetTask, adapter: Adapter, batch: Batch) -> float:
    """Mean NLL per target."""
    return losses.cross_entropy(logits(task, adapter, batch), batch.targets).item()


def difference(task: ForgetTask, adapter: Adapter) -> float:
    """What gradient difference lowers: the mean NLL of everybody else less that of the subjects."""
    return nll(task, adapter, retain_batch(task)) - nll(task, adapter, forget_batch(task))


def first_loss(method: Method, task: ForgetTask) -> float:
    """The loss that a method reports at its first step, which is at the parent."""
    seen: list[Progress] = []
    method.run(task, on_step=seen.append)
    assert seen[0].loss is not None
    return seen[0].loss


def distance(one: Adapter, other: Adapter) -> float:
    """Euclidean distance over all tensors."""
    parts = [(one.tensors[name] - tensor).flatten() for name, tensor in other.tensors.items()]
    return torch.cat(parts).norm().item()
