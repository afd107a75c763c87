from typing import Any

import pytest

from unlearning.errors import InvalidMethodConfig
from unlearning.methods.ladder.ucan.config import UcanConfig


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "neuron"}, "unit is 'neuron'; choose one of rank_channel, output_row, input_column"),
        ({"token_scope": "first"}, "all, last"),
        ({"gap": "ratio"}, "relative, difference, z_score"),
        ({"utility": "taylor"}, "energy, wanda, convex"),
        ({"normalisation": "softmax"}, "module_percentile, module_min_max, global_rank"),
        ({"fusion": "maximum"}, "additive, protective, product"),
        ({"threshold_kind": "count"}, "quantile, absolute"),
        ({"decay": "linear"}, "exponential, sigmoid"),
        ({"utility_mu": 1.1}, r"utility_mu must lie in \[0, 1\]"),
        ({"fusion_lambda": -0.1}, "fusion_lambda must lie"),
        ({"threshold": 2.0}, "threshold must lie"),
        ({"g_min": -1.0}, "g_min must lie"),
        ({"prescreen": 1.5}, "prescreen must lie"),
        ({"gamma": 0.0}, "gamma must be greater than 0"),
        ({"kappa": -1.0}, "kappa must be greater than 0"),
        ({"epsilon": 0.0}, "epsilon must be greater than 0"),
        ({"threshold": float("nan")}, "threshold must lie"),
        ({"use_contrast": False, "use_utility": False}, "no risk is left"),
        ({"use_contrast": False, "prescreen": 0.5}, "needs use_contrast"),
        ({"hard_prune": True, "g_min": 0.1}, "g_min must be 0"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        UcanConfig(**change)


@pytest.mark.parametrize(
    ("config", "sites"),
    [
        (UcanConfig(), ("bottleneck",)),
        (UcanConfig(basis="rank", unit="output_row"), ("output",)),
        (UcanConfig(basis="rank", unit="input_column"), ("input",)),
        (UcanConfig(basis="rank", utility="wanda"), ("bottleneck", "input")),
        (UcanConfig(basis="rank", unit="output_row", utility="wanda"), ("bottleneck", "output")),
        (UcanConfig(basis="rank", unit="input_column", utility="wanda"), ("input",)),
        (UcanConfig(basis="rank", utility="wanda", use_utility=False), ("bottleneck",)),
    ],
)
def test_only_the_sites_that_are_read_are_collected(config: UcanConfig, sites: tuple[str, ...]) -> None:
    assert config.sites == sites
