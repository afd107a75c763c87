"""Channels of an adapter that depend on the function it computes, not on how that is factorised.

A LoRA module adds s B A x. For every invertible Q, the pair (Q A, B Q⁻¹) is the same function with other rank channels,
so an edit channel by channel differs for every Q. Here a module is divided into channels of its own. With v the
activation at a site (z = A x, or x),

    c_k = reads_k · v,      v = Σ_k spans_k c_k  for every v that was seen,

and factors g map v to v - Σ_k (1 - g_k) spans_k c_k. Factors of 1 leave the module unchanged to the last bit.
Directions without any activation are never changed.

`svd`: the singular directions of B A; of z, reads_k = σ_k^-½ u_kᵀ B and spans_k = A v_k σ_k^-½.

`contrast_z`, `contrast_x`: with F and R the second moments of v over the subjects and over the retained users, the
solutions of

    F w = μ (F + R) w,      0 ≤ μ ≤ 1,

which are those of F w = ρ R w with ρ = μ / (1 - μ). This form needs no invertible R and no constant: where the retained
users have no activation, ρ is infinite and μ is 1. Directions of equal μ (a subject with fewer tokens than channels has
a whole space at μ = 0) are distinguished by the energy of their output, so that the channels are defined there too.

Source of the contrast: CSE (CVPR 2026) contrasts by generalised eigenproblems, in vision; its use here is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unlearning.activations.statistics import ActivationStatistics, Site, UnitSums
from unlearning.errors import InvalidTask
from unlearning.methods.ladder.ucan.config import Basis, UcanConfig
from unlearning.methods.ladder.ucan.scores import LoraWeights

# A singular value of float32 weights below this share of the largest is rounding error.
_WEIGHT_RESOLUTION = 1e-6
# The same for the energy along a direction of float32 activations, summed in float64.
_ENERGY_RESOLUTION = 1e-10
# Weight of the output energy relative to the contrast, which lies in [0, 1].
_TIE_BREAK = 1e-4
# Second moments of wide inputs need too much memory: 8 bytes times the width squared, per module and set of users.
MOST_MOMENT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Channels:
    """One module's channels: `reads` [k, n] and `spans` [n, k] on the n activations of the basis's site."""

    reads: Tensor
    spans: Tensor


@dataclass(frozen=True)
class View:
    """The adapter and the statistics expressed in another basis, in which `channels` take the place of rank channels.

    `weights` holds, for each module, the maps from its input to its channels and from its channels to its output.
    """

    channels: Mapping[str, Channels]
    weights: Mapping[str, LoraWeights]
    forget: ActivationStatistics
    retain: ActivationStatistics


def in_basis(
    config: UcanConfig,
    weights: Mapping[str, LoraWeights],
    forget: ActivationStatistics,
    retain: ActivationStatistics,
) -> View:
    """Express pairs and statistics in the configuration's basis, which must not be `rank`.

    Modules whose output is zero are left out.

    Raises:
        InvalidTask: the output of all modules is zero.
        StatisticsMismatch: second moments that the basis needs were not collected.
    """
    (site,) = config.moments
    found = {
        name: singular(pair.down, pair.up)
        if config.basis == "svd"
        else contrast(
            forget.second_moments(name, site),
            retain.second_moments(name, site),
            _output_map(config.basis, pair),
        )
        for name, pair in weights.items()
    }
    alive = {name: channels for name, channels in found.items() if len(channels.reads)}
    if not alive:
        raise InvalidTask("the adapter puts out nothing at all, so there is nothing to attenuate")
    written = {
        name: LoraWeights(
            channels.reads,
            _output_map(config.basis, weights[name]) @ channels.spans,
            weights[name].scale,
        )
        for name, channels in alive.items()
    }
    return View(alive, written, _of_channels(alive, site, forget), _of_channels(alive, site, retain))


def singular(down: Tensor, up: Tensor) -> Channels:
    """Channels along the singular directions of `up @ down`, on z."""
    down, up = down.double(), up.double()
    # The product is as large as the adapted weight, so it is never computed: the triangular factors are enough.
    left, upper = torch.linalg.qr(up)
    right, lower = torch.linalg.qr(down.T)
    u, values, vt = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    kept = values > _WEIGHT_RESOLUTION * values.max()
    root = values[kept].sqrt()
    reads = ((left @ u[:, kept]) / root).T @ up
    spans = down @ (right @ vt[kept].T) / root
    return Channels(reads, spans)


def contrast(forget: Tensor, retain: Tensor, output: Tensor) -> Channels:
    """Channels along which two second moments [n, n] differ most, and at ties by their energy after `output` [m, n]."""
    total = forget + retain
    # Scaled first, so that units of different size are resolved equally well.
    scale = total.diagonal().clamp_min(0).sqrt()
    scale = torch.where(scale > 0, scale, torch.inf)
    values, vectors = torch.linalg.eigh(total / torch.outer(scale, scale))
    kept = values > _ENERGY_RESOLUTION * values.max().clamp_min(torch.finfo(values.dtype).tiny)
    roots, vectors = values[kept].sqrt(), vectors[:, kept]
    whiten = (vectors / roots).T / scale
    unwhiten = torch.where(scale.isinf(), 0.0, scale).unsqueeze(1) * vectors * roots
    energy = output.double() @ unwhiten
    energy = energy.T @ energy
    largest = energy.diagonal().sum().clamp_min(torch.finfo(energy.dtype).tiny)
    told = whiten @ forget @ whiten.T + _TIE_BREAK * energy / largest
    rotation = torch.linalg.eigh((told + told.T) / 2).eigenvectors
    # A channel without output has no effect on the model, so it must not take part in ranks and quantiles.
    put_out = (energy @ rotation * rotation).sum(0)
    rotation = rotation[:, put_out > _ENERGY_RESOLUTION * largest]
    return Channels(rotation.T @ whiten, unwhiten @ rotation)


def scaled(weight: Tensor, channels: Channels, factors: Tensor) -> Tensor:
    """`weight`, which multiplies the activations (B on z, A on x), with each channel scaled by its factor."""
    removed = (1.0 - factors.double()).unsqueeze(1) * channels.reads
    return (weight.double() - weight.double() @ channels.spans @ removed).to(weight.dtype)


def check_moments_fit(config: UcanConfig, weights: Mapping[str, LoraWeights]) -> None:
    """Refuse second moments that would not fit into memory, before anything is read.

    Raises:
        InvalidTask: the second moments that the basis needs are too large.
    """
    if config.basis != "contrast_x":
        return
    needed = sum(8 * pair.down.shape[1] ** 2 for pair in weights.values())
    if needed > MOST_MOMENT_BYTES:
        raise InvalidTask(
            f"basis contrast_x would keep {needed / 2**20:.0f} MiB of second moments for each set of users, more than "
            f"{MOST_MOMENT_BYTES / 2**20:.0f}; choose contrast_z, whose matrices are as wide as the adapter's rank"
        )


def _of_channels(
    channels: Mapping[str, Channels], site: Site, statistics: ActivationStatistics
) -> ActivationStatistics:
    """Statistics of the channels' activations, in place of those of the rank channels.

    Second moments do not give the mean |c|, so the root mean square takes its place.
    """
    sums: dict[str, dict[Site, UnitSums]] = {}
    for name, own in channels.items():
        moments = statistics.second_moments(name, site)
        squares = (own.reads @ moments * own.reads).sum(1).clamp_min(0)
        sums[name] = {"bottleneck": UnitSums(squares.sqrt() * statistics.tokens, squares * statistics.tokens)}
    return replace(statistics, sums=sums)


def _output_map(basis: Basis, weights: LoraWeights) -> Tensor:
    """The module's map from the activations at the basis's site to its output, without its scale."""
    up = weights.up.double()
    return up @ weights.down.double() if basis == "contrast_x" else up
