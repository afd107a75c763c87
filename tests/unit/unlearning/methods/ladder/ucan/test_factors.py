from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from recommender import Adapter, Base, attach
from unlearning.activations.collect import lora_layers
from unlearning.errors import InvalidTask
from unlearning.methods.ladder.ucan.config import UcanConfig, Unit
from unlearning.methods.ladder.ucan.factors import (
    apply_factors,
    attenuation_factors,
    decay,
    lora_weights,
    risk_threshold,
)

RISKS = st.lists(st.floats(0, 1), min_size=1, max_size=20)
CONFIGS = st.builds(
    UcanConfig,
    decay=st.sampled_from(["exponential", "sigmoid"]),
    gamma=st.floats(0.01, 50),
    kappa=st.floats(0.01, 50),
    g_min=st.floats(0, 1),
)


def vector(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_decays_by_hand() -> None:
    risk = vector([0.0, 0.5, 0.75, 1.0])
    exponential = decay(UcanConfig(gamma=2.0, g_min=0.2), risk, 0.5)
    e = torch.e
    assert exponential.tolist() == pytest.approx([1.0, 1.0, 0.2 + 0.8 / e, 0.2 + 0.8 / e**2])
    sigmoid = decay(UcanConfig(decay="sigmoid", kappa=4.0), risk, 0.5)
    # s(2), s(0), s(-1), s(-2), all over s(2).
    s = [1 / (1 + e**-x) for x in (2, 0, -1, -2)]
    assert sigmoid.tolist() == pytest.approx([value / s[0] for value in s])
    assert decay(UcanConfig(hard_prune=True), risk, 0.5).tolist() == [1.0, 1.0, 0.0, 0.0]


@given(CONFIGS, RISKS, st.floats(0, 1))
def test_factors_lie_between_their_floor_and_one(
    config: UcanConfig, risks: list[float], threshold: float
) -> None:
    factors = decay(config, vector(risks), threshold)
    assert bool(((factors >= config.g_min) & (factors <= 1)).all())


@given(CONFIGS, RISKS, st.floats(0, 1), st.booleans())
def test_more_risk_never_raises_a_factor(
    config: UcanConfig, risks: list[float], threshold: float, hard: bool
) -> None:
    config = replace(config, g_min=0.0, hard_prune=True) if hard else config
    factors = decay(config, vector(sorted(risks)), threshold)
    assert bool((factors.diff() <= 1e-15).all())


@given(RISKS, st.sampled_from(["quantile", "absolute"]), st.floats(0, 1), st.booleans())
def test_threshold_one_changes_nothing(risks: list[float], kind: str, g_min: float, hard: bool) -> None:
    config = UcanConfig(threshold=1.0, threshold_kind=kind, g_min=0.0 if hard else g_min, hard_prune=hard)
    assert attenuation_factors(config, {"m": vector(risks)})["m"].tolist() == pytest.approx(
        [1.0] * len(risks), abs=1e-15
    )


@given(RISKS, st.floats(0, 1))
def test_the_quantile_threshold_is_the_usual_one(risks: list[float], quantile: float) -> None:
    risk = {"a": vector(risks), "b": vector(risks[:1])}
    expected = torch.quantile(torch.cat(list(risk.values())), quantile)
    found = risk_threshold(UcanConfig(threshold=quantile), risk)
    assert found == pytest.approx(float(expected), abs=1e-12)
    assert risk_threshold(UcanConfig(threshold=quantile, threshold_kind="absolute"), risk) == quantile


@pytest.mark.parametrize("unit", ["rank_channel", "output_row", "input_column"])
def test_editing_the_weights_is_inserting_its_factors(base: Base, adapter: Adapter, unit: Unit) -> None:
    """Editing columns of B equals scaling z in the forward; rows of B, its output; columns of A, its input."""
    model = attach(base, adapter)
    factors = {}
    generator = torch.Generator().manual_seed(0)
    for name, layer in lora_layers(model).items():
        down, up = layer.lora_A["default"], layer.lora_B["default"]
        size = {"rank_channel": 4, "output_row": up.out_features, "input_column": down.in_features}[unit]
        factors[name] = torch.rand(size, generator=generator, dtype=torch.float64)
        _insert(down, up, unit, factors[name].float())
    tokens = torch.tensor([base.style.encode([3, 1, 4, 15, 9])])
    edited = attach(base, apply_factors(adapter, unit, factors))
    with torch.inference_mode():
        torch.testing.assert_close(edited(tokens).logits, model(tokens).logits, rtol=1e-4, atol=1e-5)
        untouched = attach(base, adapter)(tokens).logits
    assert not torch.allclose(untouched, edited(tokens).logits, atol=1e-3)


def _insert(down: nn.Module, up: nn.Module, unit: Unit, factors: Tensor) -> None:
    if unit == "input_column":
        down.register_forward_pre_hook(lambda module, inputs: (inputs[0] * factors,))
    elif unit == "output_row":
        up.register_forward_hook(lambda module, inputs, output: output * factors)
    else:
        down.register_forward_hook(lambda module, inputs, output: output * factors)


def test_the_original_tensors_stay(adapter: Adapter) -> None:
    before = {name: tensor.clone() for name, tensor in adapter.tensors.items()}
    module = next(iter(lora_weights(adapter)))
    apply_factors(adapter, "rank_channel", {module: torch.zeros(4, dtype=torch.float64)})
    assert all(torch.equal(adapter.tensors[name], before[name]) for name in before)


def test_an_adapter_without_pairs_is_refused(adapter: Adapter) -> None:
    with pytest.raises(InvalidTask, match="no LoRA pair"):
        lora_weights(adapter.replace({}))
