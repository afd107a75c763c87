"""The arithmetic of U-CAN against numbers worked out by hand, and its invariants."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unlearning.activations.statistics import ActivationStatistics, Site, UnitSums
from unlearning.methods.ladder.ucan.config import UcanConfig, Unit
from unlearning.methods.ladder.ucan.factors import attenuation_factors
from unlearning.methods.ladder.ucan.scores import (
    LoraWeights,
    activation_gap,
    fuse,
    min_max,
    normalise,
    percentile_ranks,
    risk_scores,
    utility_score,
)

UNITS = 5


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def statistics(tokens: int, sites: dict[Site, tuple[Tensor, Tensor]]) -> ActivationStatistics:
    sums = {site: UnitSums(absolute, squares) for site, (absolute, squares) in sites.items()}
    return ActivationStatistics("d", "all", 1, tokens, {"m": sums})


# 2 forget tokens and 4 retain tokens, two channels: mean |z| 3 and 1 against 1 and 1.
FORGET = statistics(2, {"bottleneck": (vector(6, 2), vector(20, 2)), "output": (vector(2, 4), vector(2, 8))})
RETAIN = statistics(
    4,
    {
        "bottleneck": (vector(4, 4), vector(8, 4)),
        "input": (vector(4, 4, 8), vector(4, 16, 36)),
        "output": (vector(4, 4), vector(16, 4)),
    },
)
# Three inputs, two channels, two outputs.
WEIGHTS = LoraWeights(
    down=torch.tensor([[1.0, -2.0, 0.0], [0.0, 1.0, 1.0]]), up=torch.tensor([[3.0, 0.0], [4.0, -1.0]])
)


def test_gaps_by_hand() -> None:
    config = UcanConfig(basis="rank", epsilon=1e-300)
    assert activation_gap(config, FORGET, RETAIN, "m").tolist() == pytest.approx([(3 - 1) / (3 + 1), 0.0])
    kept_apart = activation_gap(replace(config, epsilon=0.5), FORGET, RETAIN, "m")
    assert kept_apart.tolist() == pytest.approx([(3 - 1) / (3 + 1 + 0.5), 0.0])
    assert activation_gap(replace(config, gap="difference"), FORGET, RETAIN, "m").tolist() == [2.0, 0.0]
    # Deviation of |z| on retain: sqrt(8/4 - 1) = 1 and sqrt(4/4 - 1) = 0.
    z_config = replace(config, gap="z_score", epsilon=0.5)
    assert activation_gap(z_config, FORGET, RETAIN, "m").tolist() == pytest.approx([2 / 1.5, 0.0])


def test_a_smaller_forget_response_is_no_relative_gap() -> None:
    assert activation_gap(UcanConfig(), RETAIN, FORGET, "m").tolist() == [0.0, 0.0]


def test_utilities_by_hand() -> None:
    # Energy: |B_k| rms(z_k) = 5 sqrt(2) and 1 * 1.
    assert utility_score(UcanConfig(), WEIGHTS, RETAIN, "m").tolist() == pytest.approx([5 * 2**0.5, 1.0])
    # The scale of B A counts with B.
    scaled = utility_score(UcanConfig(), replace(WEIGHTS, scale=2.0), RETAIN, "m")
    assert scaled.tolist() == pytest.approx([10 * 2**0.5, 2.0])
    # Wanda on A: mean_j |A_kj| |x_j| with norms 2, 4, 6: (2 + 8) / 3 and (4 + 6) / 3.
    wanda = UcanConfig(basis="rank", utility="wanda")
    assert utility_score(wanda, WEIGHTS, RETAIN, "m").tolist() == pytest.approx([10 / 3, 10 / 3])
    # Output rows: the energy is the rms of the adapter's own output, sqrt(16/4) and sqrt(4/4).
    rows = UcanConfig(basis="rank", unit="output_row")
    assert utility_score(rows, WEIGHTS, RETAIN, "m").tolist() == pytest.approx([2.0, 1.0])
    # Wanda on B: mean_k |B_ik| |z_k| with norms sqrt(8) and 2.
    rows = UcanConfig(basis="rank", unit="output_row", utility="wanda")
    assert utility_score(rows, WEIGHTS, RETAIN, "m").tolist() == pytest.approx(
        [3 * 8**0.5 / 2, (4 * 8**0.5 + 2) / 2]
    )
    # Input columns: |(BA)_j| rms(x_j); BA = [[3, -6, 0], [4, -9, -1]], rms 1, 2, 3.
    columns = UcanConfig(basis="rank", unit="input_column")
    assert utility_score(columns, WEIGHTS, RETAIN, "m").tolist() == pytest.approx([5.0, 117**0.5 * 2, 3.0])
    columns = UcanConfig(basis="rank", unit="input_column", utility="wanda")
    assert utility_score(columns, WEIGHTS, RETAIN, "m").tolist() == pytest.approx([1.0, 6.0, 3.0])


def test_the_convex_utility_mixes_normalised_weights_and_activations() -> None:
    config = UcanConfig(utility="convex", utility_mu=0.25, use_contrast=False, normalisation="module_min_max")
    # |B_k| = 5, 1 and rms(z_k) = sqrt(2), 1: both become 1 and 0, so U = 1, 0 and R = 1 - U.
    risk = risk_scores(config, {"m": WEIGHTS}, FORGET, RETAIN)
    assert risk["m"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("unit", "risk"),
    [
        # |A_j| = 1, sqrt(5), 1 become 0, 1, 0, and the inputs' rms 1, 2, 3 become 0, 1/2, 1.
        ("input_column", [1.0, 1 - (0.25 + 0.75 / 2), 1 - 0.75]),
        # |B_i| = 3, sqrt(17) become 0, 1, and the outputs' rms 2, 1 become 1, 0.
        ("output_row", [1 - 0.75, 1 - 0.25]),
    ],
)
def test_the_convex_utility_of_other_units_by_hand(unit: Unit, risk: list[float]) -> None:
    config = UcanConfig(
        basis="rank",
        unit=unit,
        utility="convex",
        utility_mu=0.25,
        use_contrast=False,
        normalisation="module_min_max",
    )
    assert risk_scores(config, {"m": WEIGHTS}, FORGET, RETAIN)["m"].tolist() == pytest.approx(risk)


def test_percentile_ranks_share_ties_and_span_the_interval() -> None:
    assert percentile_ranks(vector(10, 30, 20)).tolist() == [0.0, 1.0, 0.5]
    # Ranks 1 and 2 are shared as 1.5, so (1.5 - 1) / 3.
    assert percentile_ranks(vector(1, 1, 2, 3)).tolist() == pytest.approx([1 / 6, 1 / 6, 2 / 3, 1.0])
    assert percentile_ranks(vector(7, 7, 7)).tolist() == [0.5, 0.5, 0.5]
    assert percentile_ranks(vector(7)).tolist() == [0.5]


def test_min_max_by_hand() -> None:
    assert min_max(vector(2, 4, 3)).tolist() == [0.0, 1.0, 0.5]
    assert min_max(vector(2, 2)).tolist() == [0.5, 0.5]


def test_the_global_rank_compares_modules() -> None:
    scores = {"a": vector(1, 4), "b": vector(2, 3, 5)}
    ranked = normalise(UcanConfig(normalisation="global_rank"), scores)
    assert {name: values.tolist() for name, values in ranked.items()} == {
        "a": [0.0, 0.75],
        "b": [0.25, 0.5, 1.0],
    }
    local = normalise(UcanConfig(), scores)
    assert local["b"].tolist() == [0.0, 0.5, 1.0]


def test_fusions_by_hand() -> None:
    gap, utility = vector(0.8, 0.2), vector(0.5, 0.9)
    additive = fuse(UcanConfig(fusion_lambda=0.25), gap, utility)
    assert additive.tolist() == pytest.approx([0.25 * 0.8 + 0.75 * 0.5, 0.25 * 0.2 + 0.75 * 0.1])
    protective = fuse(UcanConfig(fusion="protective"), gap, utility)
    assert protective.tolist() == pytest.approx([0.55, 0.0])
    assert fuse(UcanConfig(fusion="product"), gap, utility).tolist() == pytest.approx([0.4, 0.02])
    assert fuse(UcanConfig(use_contrast=False), None, utility).tolist() == pytest.approx([0.5, 0.1])
    assert fuse(UcanConfig(use_utility=False), gap, None).tolist() == pytest.approx([0.8, 0.2])


def test_the_prescreen_spares_units_without_a_forget_response() -> None:
    config = UcanConfig(prescreen=0.5)
    risk = risk_scores(config, {"m": WEIGHTS}, FORGET, RETAIN)["m"]
    # Gap percentiles are 1 and 0: the second unit is below the screen, whatever its utility.
    assert risk.tolist() == [0.5, 0.0]
    # A gap at the screen is not above it.
    at_most = UcanConfig(prescreen=1.0)
    assert risk_scores(at_most, {"m": WEIGHTS}, FORGET, RETAIN)["m"].tolist() == [0.0, 0.0]


positive = st.lists(
    st.floats(min_value=0.0, max_value=1e3, allow_subnormal=False), min_size=UNITS, max_size=UNITS
)
configs = st.builds(
    UcanConfig,
    basis=st.just("rank"),
    gap=st.sampled_from(["relative", "difference", "z_score"]),
    utility=st.sampled_from(["energy", "convex"]),
    normalisation=st.sampled_from(["module_percentile", "module_min_max", "global_rank"]),
    fusion=st.sampled_from(["additive", "protective", "product"]),
    fusion_lambda=st.floats(0, 1),
    threshold_kind=st.sampled_from(["quantile", "absolute"]),
    threshold=st.floats(0, 1),
    decay=st.sampled_from(["exponential", "sigmoid"]),
    gamma=st.floats(0.1, 10),
    kappa=st.floats(0.1, 50),
    g_min=st.floats(0, 1),
    epsilon=st.just(1e-3),
)


def _statistics(absolute: list[float]) -> ActivationStatistics:
    values = torch.tensor(absolute, dtype=torch.float64)
    return statistics(1, {"bottleneck": (values, values.square())})


@settings(max_examples=60, deadline=None)
@given(configs, positive, positive, st.permutations(range(UNITS)), st.integers(0, 1000))
def test_renaming_the_channels_renames_the_factors(
    config: UcanConfig, forget: list[float], retain: list[float], order: list[int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Whole numbers: their norms do not depend on the order of summation, so ties stay ties.
    down = torch.randint(-3, 4, (UNITS, 3), generator=generator).float()
    up = torch.randint(-3, 4, (4, UNITS), generator=generator).float()

    def factors(places: list[int]) -> Tensor:
        weights = {"m": LoraWeights(down[places], up[:, places])}
        before = _statistics([forget[place] for place in places])
        after = _statistics([retain[place] for place in places])
        return attenuation_factors(config, risk_scores(config, weights, before, after))["m"]

    torch.testing.assert_close(factors(order), factors(list(range(UNITS)))[order], rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(configs, positive, positive)
def test_risk_and_factors_stay_in_their_intervals(
    config: UcanConfig, forget: list[float], retain: list[float]
) -> None:
    weights = {"m": LoraWeights(torch.ones(UNITS, 2), torch.ones(3, UNITS))}
    risk = risk_scores(config, weights, _statistics(forget), _statistics(retain))
    assert bool(((risk["m"] >= 0) & (risk["m"] <= 1)).all())
    factors = attenuation_factors(config, risk)["m"]
    assert bool(((factors >= config.g_min) & (factors <= 1)).all())
