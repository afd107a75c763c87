"""Parts 2 to 5 of the U-CAN reconstruction: gap, utility, normalisation, fusion. Pure tensor arithmetic.

Every function takes and returns one float64 vector per module, one entry per unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.activations.statistics import ActivationStatistics, Site
from unlearning.methods.ladder.ucan.config import UcanConfig

Scores = dict[str, Tensor]


@dataclass(frozen=True)
class LoraWeights:
    """One module's pair: `down` = A [r, d_in], `up` = B [d_out, r], and the `scale` s of s B A.

    Modules can have different ranks and alphas (PEFT's patterns), so s B is used wherever modules are compared.
    """

    down: Tensor
    up: Tensor
    scale: float = 1.0


def risk_scores(
    config: UcanConfig,
    weights: Mapping[str, LoraWeights],
    forget: ActivationStatistics,
    retain: ActivationStatistics,
) -> Scores:
    """Risk R in [0, 1] of every unit of every module: high if it responds to the forgotten and not to the retained."""
    gap: Scores | None = None
    utility: Scores | None = None
    if config.use_contrast:
        raw = {name: activation_gap(config, forget, retain, name) for name in weights}
        gap = normalise(config, raw)
    if config.use_utility:
        utility = _normalised_utility(config, weights, retain)
    risk: Scores = {}
    for name in weights:
        risk[name] = fuse(config, gap[name] if gap else None, utility[name] if utility else None)
        if gap is not None and config.prescreen is not None:
            risk[name] = torch.where(gap[name] > config.prescreen, risk[name], 0.0)
    return risk


def activation_gap(
    config: UcanConfig, forget: ActivationStatistics, retain: ActivationStatistics, module: str
) -> Tensor:
    """Contrast of mean |activation| between forget and retain tokens, before normalisation."""
    site = _unit_site(config)
    on_forget = forget.mean_absolute(module, site)
    on_retain = retain.mean_absolute(module, site)
    difference = on_forget - on_retain
    if config.gap == "difference":
        return difference
    if config.gap == "z_score":
        return difference / (retain.deviation_absolute(module, site) + config.epsilon)
    # Relative by default: |z| itself changes under A_k -> c A_k, B_k -> B_k / c, which does not change the model.
    return difference.clamp_min(0) / (on_forget + on_retain + config.epsilon)


def utility_score(
    config: UcanConfig, weights: LoraWeights, retain: ActivationStatistics, module: str
) -> Tensor:
    """What each unit contributes on retain tokens, before normalisation; `energy` or `wanda`."""
    down, up = weights.down.double(), weights.scale * weights.up.double()
    if config.utility == "wanda":
        if config.unit == "rank_channel":
            return (down.abs() * retain.norm(module, "input")).mean(1)
        if config.unit == "output_row":
            return (up.abs() * retain.norm(module, "bottleneck")).mean(1)
        return down.abs().mean(0) * retain.norm(module, "input")
    response = retain.root_mean_square(module, _unit_site(config))
    if config.unit == "rank_channel":
        return _norm(up, 0) * response
    if config.unit == "output_row":
        # The activation of an output row is already the adapter's contribution to it, weights included.
        return response
    return _norm(up @ down, 0) * response


def normalise(config: UcanConfig, scores: Mapping[str, Tensor]) -> Scores:
    """Map scores to [0, 1]; equal scores stay equal, and a constant vector becomes 0.5 everywhere."""
    if config.normalisation == "module_min_max":
        return {name: min_max(values) for name, values in scores.items()}
    if config.normalisation == "module_percentile":
        return {name: percentile_ranks(values) for name, values in scores.items()}
    ranked = percentile_ranks(torch.cat(list(scores.values())))
    parts = torch.split(ranked, [len(values) for values in scores.values()])
    return dict(zip(scores, parts, strict=True))


def fuse(config: UcanConfig, gap: Tensor | None, utility: Tensor | None) -> Tensor:
    """The risk from the normalised gap and utility; in an ablation, the one left out is None.

    No form reproduces the published ablations. In the paper KL is highest with both screens; here dropping either
    raises it, with every fusion, gap, normalisation and threshold that was tried (docs/benchmarks, "What of the U-CAN
    paper reproduces"). `additive` is the default because it is the simplest.
    """
    if gap is None:
        assert utility is not None  # UcanConfig refuses to switch both off
        return 1.0 - utility
    if utility is None:
        return gap
    if config.fusion == "additive":
        return config.fusion_lambda * gap + (1.0 - config.fusion_lambda) * (1.0 - utility)
    if config.fusion == "protective":
        return (gap - config.fusion_lambda * utility).clamp(0.0, 1.0)
    return gap * (1.0 - utility)


def percentile_ranks(values: Tensor) -> Tensor:
    """Mid-rank of each value among all, scaled to [0, 1]; ties share their mean rank."""
    count = len(values)
    if count == 1:
        return torch.full_like(values, 0.5)
    ordered = values.sort().values
    below = torch.searchsorted(ordered, values, right=False)
    not_above = torch.searchsorted(ordered, values, right=True)
    return (below + not_above - 1).to(values.dtype) / 2 / (count - 1)


def min_max(values: Tensor) -> Tensor:
    """(v - min) / (max - min); 0.5 everywhere if all values are equal."""
    low, high = values.min(), values.max()
    if bool(high == low):
        return torch.full_like(values, 0.5)
    return ((values - low) / (high - low)).clamp(0.0, 1.0)


def _normalised_utility(
    config: UcanConfig, weights: Mapping[str, LoraWeights], retain: ActivationStatistics
) -> Scores:
    if config.utility != "convex":
        return normalise(
            config, {name: utility_score(config, weights[name], retain, name) for name in weights}
        )
    magnitude = normalise(config, {name: _weight_norm(config, weights[name]) for name in weights})
    response = normalise(
        config, {name: retain.root_mean_square(name, _unit_site(config)) for name in weights}
    )
    mu = config.utility_mu
    return {name: mu * magnitude[name] + (1.0 - mu) * response[name] for name in weights}


def _weight_norm(config: UcanConfig, weights: LoraWeights) -> Tensor:
    if config.unit == "input_column":
        return _norm(weights.down.double(), 0)
    return weights.scale * _norm(weights.up.double(), 0 if config.unit == "rank_channel" else 1)


def _unit_site(config: UcanConfig) -> Site:
    if config.unit == "rank_channel":
        return "bottleneck"
    return "output" if config.unit == "output_row" else "input"


def _norm(weight: Tensor, dim: int) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(weight, dim=dim)
    return norm
