"""Channels of an adapter that depend on what it does, not on how it is written.

A LoRA module adds s B A x. With any invertible Q the pair (Q A, B Q⁻¹) is the same model, and its rank channels are
others: an edit channel by channel is another edit for every Q. Here a module is cut into channels of its own: with v
the activation at a site (z = A x, or x),

    c_k = reads_k · v,      v = Σ_k spans_k c_k  for every v that was seen,

and gates g take v to v - Σ_k (1 - g_k) spans_k c_k. All gates at 1 leave the module as it is to the last bit, and so do
directions along which nothing was ever seen.

`svd`: the singular directions of B A; of z, reads_k = σ_k^-½ u_kᵀ B and spans_k = A v_k σ_k^-½.

`contrast_z`, `contrast_x`: with F and R the second moments of v over the subjects and over the retained users, the
solutions of

    F w = μ (F + R) w,      0 ≤ μ ≤ 1,

which are those of F w = ρ R w with ρ = μ / (1 - μ). Written so it asks nothing of R: where the retained users have no
activation at all ρ is infinite and μ is 1, with no constant to choose. Where the contrast does not tell two directions
apart (a subject with fewer tokens than channels has a whole space at μ = 0) the energy they put out does, so that the
channels are defined there too.

Source of the contrast: generalised eigenproblems are what CSE (CVPR 2026) contrasts with, in vision; here ours.
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

# Below this share of the largest a singular value of float32 weights is rounding.
_WEIGHT_RESOLUTION = 1e-6
# The same of the energy along a direction of float32 activations, summed in float64.
_ENERGY_RESOLUTION = 1e-10
# How much the energy put out counts beside the contrast, which lies in [0, 1].
_TIE_BREAK = 1e-4
# Second moments of wide inputs do not fit: 8 bytes times the square of the width, for each module and set of users.
MOST_MOMENT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Channels:
    """One module's channels: `reads` [k, n] and `spans` [n, k] on the n activations of the basis's site."""

    reads: Tensor
    spans: Tensor


@dataclass(frozen=True)
class View:
    """What U-CAN's scores look at in another basis: in it the `channels` are the adapter's rank channels.

    `weights` holds for each module what its channels read and what they put out.
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
    """Pairs and statistics as the channels of the configuration's basis, which is not `rank`, show them.

    Modules that put out nothing are left out.

    Raises:
        InvalidTask: all of them put out nothing.
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
    # The product is as large as the weight it adapts, so it is never made: its factors' triangles are enough.
    left, upper = torch.linalg.qr(up)
    right, lower = torch.linalg.qr(down.T)
    u, values, vt = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    kept = values > _WEIGHT_RESOLUTION * values.max()
    root = values[kept].sqrt()
    reads = ((left @ u[:, kept]) / root).T @ up
    spans = down @ (right @ vt[kept].T) / root
    return Channels(reads, spans)


def contrast(forget: Tensor, retain: Tensor, output: Tensor) -> Channels:
    """Channels along which two second moments [n, n] differ most; of equal ones, by what `output` [m, n] makes."""
    total = forget + retain
    # Scaled first, so that units of different size are resolved alike.
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
    turn = torch.linalg.eigh((told + told.T) / 2).eigenvectors
    # A channel that puts out nothing has no part in the model, and none in ranks and quantiles.
    put_out = (energy @ turn * turn).sum(0)
    turn = turn[:, put_out > _ENERGY_RESOLUTION * largest]
    return Channels(turn.T @ whiten, unwhiten @ turn)


def gated(weight: Tensor, channels: Channels, gate: Tensor) -> Tensor:
    """What multiplies the activations (B on z, A on x) with each channel scaled by its gate."""
    closed = (1.0 - gate.double()).unsqueeze(1) * channels.reads
    return (weight.double() - weight.double() @ channels.spans @ closed).to(weight.dtype)


def check_moments_fit(config: UcanConfig, weights: Mapping[str, LoraWeights]) -> None:
    """Refuse what would not fit into memory before anything is read.

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
    """Statistics of the channels' own activations, where those of rank channels stand.

    Their root mean square stands for their mean |c| as well.
    """
    sums: dict[str, dict[Site, UnitSums]] = {}
    for name, own in channels.items():
        moments = statistics.second_moments(name, site)
        squares = (own.reads @ moments * own.reads).sum(1).clamp_min(0)
        sums[name] = {"bottleneck": UnitSums(squares.sqrt() * statistics.tokens, squares * statistics.tokens)}
    return replace(statistics, sums=sums)


def _output_map(basis: Basis, weights: LoraWeights) -> Tensor:
    """What a module does to the activations at the basis's site, without its scale."""
    up = weights.up.double()
    return up @ weights.down.double() if basis == "contrast_x" else up
