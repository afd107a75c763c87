"""Gradients of single windows, many at a time: one forward and one backward for a whole batch.

What a loss of several windows does to a LoRA pair y = B (A x) is a sum over positions of outer products: with the
gradients dz and dy of the loss with respect to z = A x and to y, dA = sum dz x' and dB = sum dy z'. Windows of a batch
do not meet, so the same sums over one window's positions are that window's own gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unlearning.activations.collect import lora_layers
from unlearning.methods.shared.descent import ItemModel


@dataclass(frozen=True)
class _Linear:
    """One factor of a pair: what went into it [rows, positions, in] and came out of it [rows, positions, out]."""

    inputs: Tensor
    outputs: Tensor


class WindowGradients:
    """Takes the gradients of single windows with respect to the adapter of `model`.

    `possible` is False where the adapter holds anything but pairs of linear factors; then it cannot.
    """

    def __init__(self, model: ItemModel) -> None:
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
        """Whether every tensor of the adapter is the weight of a linear factor."""
        return all(factor is not None for factor in self._factors)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Whatever the model computes inside may be asked for gradients of."""
        self._seen.clear()
        with ExitStack() as stack:
            for factor in self._factors:
                assert factor is not None, "not possible with this adapter"
                handle = factor.register_forward_hook(self._keep)
                stack.callback(handle.remove)
            yield

    def of(self, loss: Tensor) -> Tensor:
        """Of the one forward since `watching`, where `loss` adds up the losses of its rows: [rows, parameters]."""
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
