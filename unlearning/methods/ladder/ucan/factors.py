"""Parts 6 and 7 of the U-CAN reconstruction: factors from risks, and their application to the adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from peft.utils.other import get_pattern_key
from torch import Tensor

from recommender import Adapter
from unlearning.errors import InvalidTask
from unlearning.methods.ladder.ucan.basis import Channels, scaled
from unlearning.methods.ladder.ucan.config import Basis, UcanConfig, Unit
from unlearning.methods.ladder.ucan.scores import LoraWeights, Scores

_PREFIX = "base_model.model."
DOWN_WEIGHT, UP_WEIGHT = ".lora_A.weight", ".lora_B.weight"


def risk_threshold(config: UcanConfig, risk: Mapping[str, Tensor]) -> float:
    """The threshold t on the risk: the configured value, or the configured quantile of the risk over all units."""
    if config.threshold_kind == "absolute":
        return config.threshold
    # `torch.quantile` refuses more than 2^24 values; sorting has no such limit.
    ordered = torch.cat(list(risk.values())).sort().values
    position = config.threshold * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    share = position - low
    return float(ordered[low] * (1.0 - share) + ordered[high] * share)


def attenuation_factors(config: UcanConfig, risk: Mapping[str, Tensor]) -> Scores:
    """The factor g in [g_min, 1] of every unit; it never increases with the risk."""
    threshold = risk_threshold(config, risk)
    return {name: decay(config, values, threshold) for name, values in risk.items()}


def decay(config: UcanConfig, risk: Tensor, threshold: float) -> Tensor:
    """The factor of each risk value at an absolute `threshold`; see `UcanConfig.decay` for the two forms."""
    if config.hard_prune:
        return (risk <= threshold).to(risk.dtype)
    span = 1.0 - config.g_min
    if config.decay == "sigmoid":
        normaliser = 1.0 / (1.0 + math.exp(-config.kappa * threshold))
        soft = torch.sigmoid(-config.kappa * (risk - threshold)) / normaliser
        return (config.g_min + span * soft).clamp(config.g_min, 1.0)
    # No risk exceeds a threshold of 1; the maximum only keeps the division defined.
    excess = (risk - threshold).clamp_min(0) / max(1.0 - threshold, 1e-12)
    return config.g_min + span * torch.exp(-config.gamma * excess)


def apply_in_channels(
    adapter: Adapter, basis: Basis, channels: Mapping[str, Channels], factors: Mapping[str, Tensor]
) -> Adapter:
    """A new adapter whose channels in `basis` are scaled once: in A for channels of x, else in B."""
    tensors = dict(adapter.tensors)
    for module, values in factors.items():
        name = _PREFIX + module + (DOWN_WEIGHT if basis == "contrast_x" else UP_WEIGHT)
        tensors[name] = scaled(tensors[name].cpu(), channels[module], values).to(tensors[name].device)
    return adapter.replace(tensors)


def apply_factors(adapter: Adapter, unit: Unit, factors: Mapping[str, Tensor]) -> Adapter:
    """A new adapter whose units are scaled once: columns of B, rows of B, or columns of A."""
    tensors = dict(adapter.tensors)
    for module, values in factors.items():
        name = _PREFIX + module + (DOWN_WEIGHT if unit == "input_column" else UP_WEIGHT)
        weight = tensors[name]
        scale = values.to(weight.device, torch.float64)
        if unit == "output_row":
            scale = scale.unsqueeze(1)
        tensors[name] = (weight.double() * scale).to(weight.dtype)
    return adapter.replace(tensors)


def lora_weights(adapter: Adapter) -> dict[str, LoraWeights]:
    """The LoRA pairs of an adapter, on the CPU, by PEFT's module path without its prefix."""
    weights = {}
    for name, tensor in adapter.tensors.items():
        if name.startswith(_PREFIX) and name.endswith(DOWN_WEIGHT):
            module = name.removeprefix(_PREFIX).removesuffix(DOWN_WEIGHT)
            up = adapter.tensors[_PREFIX + module + UP_WEIGHT]
            weights[module] = LoraWeights(tensor.cpu(), up.cpu(), _scale(adapter, module, len(tensor)))
    if not weights:
        raise InvalidTask("the adapter holds no LoRA pair that U-CAN could scale")
    return weights


def _scale(adapter: Adapter, module: str, rank: int) -> float:
    """The factor on B A of a module: alpha / r, or alpha / sqrt(r) with rank-stabilised LoRA."""
    config = adapter.config
    pattern = dict(sorted((config.get("alpha_pattern") or {}).items()))
    # PEFT takes the first pattern that matches.
    alpha: Any = pattern.get(get_pattern_key(list(pattern), module), config.get("lora_alpha", rank))
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)
