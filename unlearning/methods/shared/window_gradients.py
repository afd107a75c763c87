"""Gradients of single windows, many at a time: one forward and one backward for a whole batch.

The gradient of a loss with respect to a LoRA pair y = B (A x) is a sum of outer products over positions: with the
gradients dz and dy with respect to z = A x and y, dA = sum dz x' and dB = sum dy z'. The windows of a batch do not
interact, so the same sums over one window's positions are the gradient of that window's loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unlearning.activations.collect import lora_layers
from unlearning.methods.shared.descent import ChoiceModel


@dataclass(frozen=True)
class _Linear:
    """The inputs [rows, positions, in] and outputs [rows, positions, out] of the A or the B of a pair."""

    inputs: Tensor
    outputs: Tensor


class WindowGradients:
    """Computes the gradients of single windows with respect to the adapter of `model`.

    That works only if `possible`: every tensor of the adapter must belong to a linear layer.
    """

    def __init__(self, model: ChoiceModel) -> None:
        self._parameters = list(model.parameters.values())
        factors = [
            factor
            for layer in lora_layers(model.model).values()
            for pair in (layer.lora_A, layer.lora_B)
            for factor in pair.values()
        ]
        by_weight = {id(factor.weight): factor for factor in factors if type(factor) is nn.Linear}
        self._factors = [by_weight.get(id(parameter)) for parameter in self._parameters]
        self._seen: dict[int, _Linear] = {}

    @property
    def possible(self) -> bool:
        """Whether every tensor of the adapter is the weight of a linear layer."""
        return all(factor is not None for factor in self._factors)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record the forward pass inside, so that `of` can compute its gradients."""
        self._seen.clear()
        with ExitStack() as stack:
            for factor in self._factors:
                assert factor is not None, "not possible with this adapter"
                handle = factor.register_forward_hook(self._keep)
                stack.callback(handle.remove)
            yield

    def of(self, loss: Tensor) -> Tensor:
        """Each row's gradient, [rows, parameters], in the one forward since `watching`; `loss` is a sum over rows."""
        linears = [self._seen[id(factor)] for factor in self._factors]
        wanted = torch.autograd.grad(loss, [linear.outputs for linear in linears])
        return torch.cat(
            [
                (gradient.transpose(1, 2) @ linear.inputs).flatten(1)
                for gradient, linear in zip(wanted, linears, strict=True)
            ],
            dim=1,
        )

    def _keep(self, factor: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        self._seen[id(factor)] = _Linear(inputs[0].detach(), outputs)
