"""The units that LLM-Eraser prunes, as one flat vector: rank channels of the adapter, or its single weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from recommender import Adapter
from unlearning.errors import InvalidTask
from unlearning.methods.ladder.ucan.factors import DOWN_WEIGHT, UP_WEIGHT

PruningUnit = Literal["rank_channel", "weight"]


class Units:
    """The units of an adapter, in one fixed order: by module or tensor, in the adapter's order.

    Raises:
        InvalidTask: the units are rank channels, and not every tensor is the A or the B of a linear layer.
    """

    def __init__(self, unit: PruningUnit, adapter: Adapter) -> None:
        tensors = adapter.tensors
        self._channels = unit == "rank_channel"
        if self._channels:
            modules = [name.removesuffix(UP_WEIGHT) for name in tensors if name.endswith(UP_WEIGHT)]
            if tensors.keys() != {module + end for module in modules for end in (UP_WEIGHT, DOWN_WEIGHT)}:
                raise InvalidTask(
                    "rank channels are those of adapted linear layers alone; choose unit='weight'"
                )
            self._shapes = {module: tensors[module + UP_WEIGHT].shape[1:] for module in modules}
        else:
            self._shapes = {name: tensor.shape for name, tensor in tensors.items()}

    def __len__(self) -> int:
        return sum(shape.numel() for shape in self._shapes.values())

    def totals(self, values: Mapping[str, Tensor]) -> Tensor:
        """Sums over each unit, [units], of the tensors `values` by name; a missing tensor counts as 0."""
        if not self._channels:
            return torch.cat([values[name].flatten() for name in self._shapes])
        totals = []
        for module in self._shapes:
            total = values[module + UP_WEIGHT].sum(0)
            if module + DOWN_WEIGHT in values:
                total = total + values[module + DOWN_WEIGHT].sum(1)
            totals.append(total)
        return torch.cat(totals)

    def by_name(self, values: Tensor) -> dict[str, Tensor]:
        """`values` [units] divided by module (for channels) or by tensor, in its shape (for single weights)."""
        pieces = torch.split(values, [shape.numel() for shape in self._shapes.values()])
        return {
            name: piece.view(shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }

    def scaling(self, values: Tensor) -> dict[str, Tensor]:
        """Factors by tensor name that scale each unit once by its value: for a channel, its column of B."""
        if not self._channels:
            return self.by_name(values)
        return {module + UP_WEIGHT: factor.unsqueeze(0) for module, factor in self.by_name(values).items()}

    def pruning(self, kept: Tensor) -> dict[str, Tensor]:
        """Factors 0 or 1 by tensor name that remove a unit completely: for a channel, its row of A as well."""
        if not self._channels:
            return self.by_name(kept)
        rows = {module + DOWN_WEIGHT: keep.unsqueeze(1) for module, keep in self.by_name(kept).items()}
        return {**self.scaling(kept), **rows}
