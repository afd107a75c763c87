"""The weighted mean of adapters, as one adapter."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from recommender import Adapter, AdapterMismatch
from recommender.trained_rows import ROW_TENSORS

_DOWN = re.compile(r"\.lora_(?:embedding_)?A(?=\.|$)")
# The B of a pair, also of an adapted embedding, whose name has no ".weight".
_UP = re.compile(r"\.lora_(?:embedding_)?B(?=\.|$)")
_PER_MODULE = ("alpha_pattern", "rank_pattern")


def is_proportional(name: str) -> bool:
    """Whether the change that an adapter makes to its base is proportional to the tensor of this name.

    So it is to the B of a LoRA pair and to trained rows: with all of them at 0, the adapter is the bare base.
    """
    return name in ROW_TENSORS or _UP.search(name) is not None


def adapter_mean(adapters: Sequence[Adapter], weights: Sequence[float]) -> Adapter:
    """The adapter whose weight change in every module is the sum of w_k s B_k A_k; `weights` are scaled to sum 1.

    Trained rows are a weight change by themselves, and their weighted sum is taken.

    The mean of the A times the mean of the B would be another map. The sum of K products of rank r is one product of
    rank K r: [w_1 B_1 ... w_K B_K] times the A_k stacked on top of each other. `lora_alpha` is kept, so PEFT's scale
    alpha / (K r) already contains the 1 / K of equal weights; tensors with equal weights are therefore left unscaled.

    Raises:
        AdapterMismatch: no adapter, configurations that differ, ranks or alphas by module, or rank-stabilised scale.
    """
    if not adapters:
        raise AdapterMismatch("the mean of no adapters is not defined")
    config = dict(adapters[0].config)
    refused = [name for name in (*_PER_MODULE, "use_rslora") if config.get(name)]
    if refused:
        raise AdapterMismatch(f"adapters with {', '.join(refused)} have no common scale to join them at")
    if any(
        dict(adapter.config) != config or adapter.tensors.keys() != adapters[0].tensors.keys()
        for adapter in adapters
    ):
        raise AdapterMismatch("adapters of different configurations cannot be joined")
    count, total = len(adapters), sum(weights)
    factors = [count * weight / total for weight in weights]
    tensors = {
        name: _joined(name, [adapter.tensors[name] for adapter in adapters], factors)
        for name in adapters[0].tensors
    }
    return Adapter(config={**config, "r": count * int(config["r"])}, tensors=tensors)


def _joined(name: str, tensors: Sequence[Tensor], factors: Sequence[float]) -> Tensor:
    if name in ROW_TENSORS:
        scaled = [tensor * factor for tensor, factor in zip(tensors, factors, strict=True)]
        return torch.stack(scaled).sum(0) / len(scaled)
    if _DOWN.search(name):
        return torch.cat(list(tensors), dim=0)
    if _UP.search(name):
        return torch.cat([tensor * factor for tensor, factor in zip(tensors, factors, strict=True)], dim=1)
    raise AdapterMismatch(f"{name} is neither the A nor the B of a LoRA pair nor trained rows")
