"""Gradients of the training loss with respect to the adapter over whole sets of windows, for the analytic methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from recommender.choices import Batch
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.progress import ShouldStop, check_stop


def predicted_items(batches: Iterable[Batch]) -> int:
    """Number of items that the batches predict."""
    return sum(int(batch.predicted().sum()) for batch in batches)


def summed_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of the predicted items' negative log-likelihoods; shapes as in `unlearning.methods.shared.losses`."""
    return -losses.log_likelihoods(logits, targets.to(logits.device), "item").sum()


def summed_gradient(
    model: ChoiceModel, batches: Sequence[Batch], *, should_stop: ShouldStop | None = None
) -> dict[str, Tensor]:
    """Gradient of the batches' `summed_loss` by parameter name; one forward and one backward per window.

    Raises:
        Interrupted: `should_stop` answered yes between two batches.
    """
    names, parameters = list(model.parameters), list(model.parameters.values())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for batch in batches:
        check_stop(should_stop)
        loss = summed_loss(model.logits(batch), batch.targets)
        for sum_so_far, gradient in zip(total, torch.autograd.grad(loss, parameters), strict=True):
            sum_so_far += gradient
    return dict(zip(names, total, strict=True))
