"""The configuration of U-CAN: every free choice of the reconstruction.

U-CAN (arXiv 2602.23400) scales down, per unit, the LoRA parameters that respond to the forgotten users and matter
little to the retained ones. What we could read of the paper holds no equation and no hyper-parameter, so every choice
below is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from unlearning.activations.statistics import Site, TokenScope
from unlearning.errors import InvalidMethodConfig

Basis = Literal["rank", "svd", "contrast_z", "contrast_x"]
Unit = Literal["rank_channel", "output_row", "input_column"]
Gap = Literal["relative", "difference", "z_score"]
Utility = Literal["energy", "wanda", "convex"]
Normalisation = Literal["module_percentile", "module_min_max", "global_rank"]
Fusion = Literal["additive", "protective", "product"]
ThresholdKind = Literal["quantile", "absolute"]
Decay = Literal["exponential", "sigmoid"]

_CHOICES = {
    "unit": Unit,
    "token_scope": TokenScope,
    "gap": Gap,
    "utility": Utility,
    "normalisation": Normalisation,
    "fusion": Fusion,
    "threshold_kind": ThresholdKind,
    "decay": Decay,
    "basis": Basis,
}
# The site whose second moments a basis needs; `rank` needs none.
_SITE_OF_BASIS: dict[Basis, Site] = {"svd": "bottleneck", "contrast_z": "bottleneck", "contrast_x": "input"}
_UNIT_INTERVAL = ("utility_mu", "fusion_lambda", "threshold", "g_min")
_SITE_OF_UNIT: dict[Unit, Site] = {
    "rank_channel": "bottleneck",
    "output_row": "output",
    "input_column": "input",
}
# Wanda weighs |W| by the norm of what W multiplies: A multiplies the input, B the bottleneck.
_SITE_OF_WANDA: dict[Unit, Site] = {
    "rank_channel": "input",
    "output_row": "bottleneck",
    "input_column": "input",
}


@dataclass(frozen=True)
class UcanConfig:
    """Configuration of `Ucan`. Notation: R risk, G gap, U utility (G and U normalised), g factor, t threshold.

    Attributes:
        unit: what one factor scales: a rank channel (column of B), an output row (of B) or an input column (of A).
        token_scope: tokens the activations are averaged over: all, or the last of each window.
        gap: contrast of mean |activation| on forget and retain: max(0, f - r) / (f + r + epsilon), f - r,
            or (f - r) / standard deviation on retain.
        utility: what a unit contributes for retained users: `energy` (output energy), `wanda` (mean |W| times
            activation norm) or `convex` (utility_mu * norm of weights + (1 - utility_mu) * norm of activations, both
            normalised).
        utility_mu: the weight inside `convex`; not the fusion weight.
        normalisation: percentile within the module (mid-ranks for ties), min-max within the module, or rank over all
            modules.
        fusion: `additive` R = lambda G + (1 - lambda)(1 - U); `protective` R = clip(G - lambda U, 0, 1);
            `product` R = G (1 - U).
        fusion_lambda: lambda above.
        threshold_kind: whether `threshold` is a quantile of R over all units or a value of R.
        threshold: in [0, 1]; units with R <= t stay unchanged (except with the sigmoid, which changes all).
        decay: `exponential` g_min + (1 - g_min) exp(-gamma (R - t) / (1 - t)) above t; `sigmoid`
            g_min + (1 - g_min) s(-kappa (R - t)) / s(kappa t), smooth everywhere and 1 at R = 0.
        gamma: steepness of the exponential, > 0.
        kappa: steepness of the sigmoid, > 0.
        g_min: smallest factor of the soft decays, in [0, 1].
        prescreen: leave a unit unchanged unless its normalised gap exceeds this; None for no pre-screen.
        hard_prune: ablation "without soft": g = 0 above t instead of a decay.
        use_contrast: False is the ablation "without contrast": R = 1 - U.
        use_utility: False is the ablation "without utility": R = G.
        retain_sequences: number of retained users to read if the task has no cached statistics, drawn with its seed;
            None for all. A few hundred users estimate the average of all well enough.
        epsilon: keeps the relative gap and the z-score defined for units without activation, > 0.
        basis: which channels a module is divided into; see `unlearning.methods.ladder.ucan.basis`.
            `contrast_z`: the directions of z = A x along which subjects and retained users differ most.
            `contrast_x`: the same for x; it needs, for each module, a matrix as large as the square of the model's
            width.
            `svd`: the singular directions of B A.
            `rank`: the adapter's own channels, one per row of A, as in the paper. They are arbitrary: (Q A, B Q⁻¹) is
            the same model with other channels, and so another edit. The other bases depend only on the function that
            the adapter computes. In these a channel's activation is its root mean square instead of its mean |z|, which
            second moments do not give.

    Raises:
        InvalidMethodConfig: a value outside its choices or range, or choices that exclude each other.
    """

    unit: Unit = "rank_channel"
    token_scope: TokenScope = "all"
    gap: Gap = "relative"
    utility: Utility = "energy"
    utility_mu: float = 0.5
    normalisation: Normalisation = "module_percentile"
    fusion: Fusion = "additive"
    fusion_lambda: float = 0.5
    threshold_kind: ThresholdKind = "quantile"
    threshold: float = 0.8
    decay: Decay = "exponential"
    gamma: float = 3.0
    kappa: float = 10.0
    g_min: float = 0.0
    prescreen: float | None = None
    hard_prune: bool = False
    use_contrast: bool = True
    use_utility: bool = True
    retain_sequences: int | None = 512
    epsilon: float = 1e-8
    basis: Basis = "contrast_z"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in get_args(choices):
                raise InvalidMethodConfig(
                    f"{name} is {value!r}; choose one of {', '.join(get_args(choices))}"
                )
        for name in (*_UNIT_INTERVAL, *(("prescreen",) if self.prescreen is not None else ())):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidMethodConfig(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        for name in ("gamma", "kappa", "epsilon"):
            if not getattr(self, name) > 0.0:
                raise InvalidMethodConfig(f"{name} must be greater than 0, not {getattr(self, name)}")
        if self.retain_sequences is not None and self.retain_sequences < 1:
            raise InvalidMethodConfig(
                f"retain_sequences must be at least 1 or None, not {self.retain_sequences}"
            )
        if not (self.use_contrast or self.use_utility):
            raise InvalidMethodConfig("use_contrast and use_utility are both off: no risk is left to act on")
        if self.prescreen is not None and not self.use_contrast:
            raise InvalidMethodConfig("prescreen compares the gap, so it needs use_contrast")
        if self.hard_prune and self.g_min > 0.0:
            raise InvalidMethodConfig("hard_prune sets factors to 0, so g_min must be 0")
        if self.basis != "rank":
            self._check_basis()

    def _check_basis(self) -> None:
        for name, needed in (("unit", ("rank_channel",)), ("utility", ("energy", "convex"))):
            if getattr(self, name) not in needed:
                raise InvalidMethodConfig(
                    f"basis {self.basis} goes with {name} {' or '.join(needed)}, not {getattr(self, name)}; basis rank "
                    "goes with all of them"
                )
        if self.gap == "z_score":
            raise InvalidMethodConfig(
                f"basis {self.basis} has no deviation of |z|, which gap z_score divides by; choose another gap, or "
                "basis rank"
            )

    @property
    def moments(self) -> tuple[Site, ...]:
        """Sites whose second moments this configuration reads."""
        return (_SITE_OF_BASIS[self.basis],) if self.basis != "rank" else ()

    @property
    def sites(self) -> tuple[Site, ...]:
        """Activation sites this configuration reads; cached statistics must hold them."""
        if self.basis != "rank":
            return self.moments
        sites = {_SITE_OF_UNIT[self.unit]}
        if self.use_utility and self.utility == "wanda":
            sites.add(_SITE_OF_WANDA[self.unit])
        return tuple(sorted(sites))
