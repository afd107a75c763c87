"""Products of the training loss's curvature with a vector, without building the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from recommender.choices import IGNORED, Batch
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.gradients import predicted_items, summed_gradient, summed_loss
from unlearning.progress import ShouldStop, check_stop

CurvatureProduct = Literal["double_backward", "finite_difference", "gauss_newton"]


class Curvature:
    """The curvature of the mean negative log-likelihood per item at the adapter of `model`.

    Args:
        kind: `double_backward` and `finite_difference` multiply with the Hessian, the first by differentiating the
            gradient's product with the vector, the second by (g(w + e v) - g(w - e v)) / 2e, where e is chosen so that
            e v has the norm `difference_step`. `gauss_newton` multiplies with J' F J, where J is the Jacobian of the
            logits and F the Fisher matrix of the softmax; it is positive semi-definite everywhere.

    The cost of one product per window, in forwards and backwards: 1 and 2 by double backward, 2 and 2 by differences,
    1 and 3 by Gauss-Newton.
    """

    def __init__(
        self,
        model: ChoiceModel,
        kind: CurvatureProduct,
        *,
        difference_step: float,
        should_stop: ShouldStop | None = None,
    ) -> None:
        self._model = model
        self._kind = kind
        self._difference_step = difference_step
        self._should_stop = should_stop
        self._parameters: list[nn.Parameter] = list(model.parameters.values())

    def times(self, vector: Tensor, batches: Sequence[Batch]) -> Tensor:
        """The product of the curvature of the mean loss over `batches` with `vector`; both float64 [parameters].

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        if self._kind == "finite_difference":
            total = self._difference(vector, batches)
        else:
            total = torch.zeros_like(vector)
            shaped = self._shaped(vector)
            # Fused attention kernels have no second derivative.
            with sdpa_kernel(SDPBackend.MATH):
                for batch in batches:
                    check_stop(self._should_stop)
                    product = self._hessian if self._kind == "double_backward" else self._gauss_newton
                    total += flat(product(shaped, batch))
        return total / predicted_items(batches)

    def gradient(self, batches: Sequence[Batch]) -> Tensor:
        """Gradient of the loss summed over `batches`, float64 [parameters]."""
        gradients = summed_gradient(self._model, batches, should_stop=self._should_stop)
        return flat(list(gradients.values()))

    def _hessian(self, vector: list[Tensor], batch: Batch) -> Sequence[Tensor]:
        loss = summed_loss(self._model.logits(batch), batch.targets)
        first = torch.autograd.grad(loss, self._parameters, create_graph=True)
        self._model.backwards += batch.rows
        return torch.autograd.grad(first, self._parameters, vector)

    def _gauss_newton(self, vector: list[Tensor], batch: Batch) -> Sequence[Tensor]:
        logits = self._model.logits(batch)
        # J'u is linear in u, so differentiating its product with v gives J v without forward-mode differentiation.
        probe = torch.zeros_like(logits, requires_grad=True)
        pulled = torch.autograd.grad(logits, self._parameters, probe, create_graph=True)
        (pushed,) = torch.autograd.grad(pulled, probe, vector, retain_graph=True)
        self._model.backwards += 2 * batch.rows
        likely = torch.softmax(logits.detach(), dim=-1)
        fisher = likely * (pushed - (likely * pushed).sum(-1, keepdim=True))
        counted = (batch.targets != IGNORED).to(logits.device).unsqueeze(-1)
        return torch.autograd.grad(logits, self._parameters, fisher * counted)

    def _difference(self, vector: Tensor, batches: Sequence[Batch]) -> Tensor:
        norm = float(vector.norm())
        if norm == 0:
            return torch.zeros_like(vector)
        epsilon = self._difference_step / norm
        start = [parameter.detach().clone() for parameter in self._parameters]
        gradients = []
        try:
            for length in (epsilon, -epsilon):
                self._move_to(start, length, vector)
                gradients.append(self.gradient(batches))
        finally:
            self._move_to(start, 0.0, vector)
        return (gradients[0] - gradients[1]) / (2.0 * epsilon)

    @torch.no_grad()
    def _move_to(self, start: Sequence[Tensor], length: float, vector: Tensor) -> None:
        for parameter, origin, step in zip(self._parameters, start, self._shaped(vector), strict=True):
            parameter.copy_(origin + length * step)

    def _shaped(self, vector: Tensor) -> list[Tensor]:
        return shaped_like(vector, self._parameters)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All tensors as one float64 vector."""
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


def shaped_like(vector: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The inverse of `flat`: pieces with the shapes and types of `tensors`."""
    pieces = torch.split(vector, [tensor.numel() for tensor in tensors])
    return [piece.view_as(tensor).to(tensor.dtype) for piece, tensor in zip(pieces, tensors, strict=True)]
