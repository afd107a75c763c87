from typing import Any

import pytest
import torch
from torch import Tensor

from recommender import Adapter, AdapterMismatch, Base, attach, check_compatible
from unlearning.methods.shared.adapter_mean import adapter_mean

STEM = "base_model.model.m"
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 6}


def random_adapter(seed: int, **config: Any) -> Adapter:
    generator = torch.Generator().manual_seed(seed)
    return Adapter(
        {**CONFIG, **config},
        {
            f"{STEM}.lora_A.weight": torch.randn(2, 5, generator=generator),
            f"{STEM}.lora_B.weight": torch.randn(4, 2, generator=generator),
        },
    )


def weight_change(adapter: Adapter, stem: str = STEM) -> Tensor:
    down, up = adapter.tensors[f"{stem}.lora_A.weight"], adapter.tensors[f"{stem}.lora_B.weight"]
    return adapter.config["lora_alpha"] / adapter.config["r"] * up @ down


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 5), (0.2, 0.3, 0.5)])
def test_its_weight_change_is_the_mean_of_the_weight_changes(weights: tuple[float, ...]) -> None:
    adapters = [random_adapter(seed) for seed in range(3)]
    mean = adapter_mean(adapters, weights)
    expected = sum(
        weight / sum(weights) * weight_change(adapter)
        for weight, adapter in zip(weights, adapters, strict=True)
    )
    torch.testing.assert_close(weight_change(mean), expected)
    assert (mean.config["r"], mean.config["lora_alpha"]) == (6, 6)


def test_by_hand_on_rank_one() -> None:
    # Scale 2. The changes are 2 (1 x 3) = 6 and 2 (5 x 7) = 70; their mean is 38 = (2 / 2) (1 x 3 + 5 x 7).
    def one(up: float, down: float) -> Adapter:
        tensors = {
            f"{STEM}.lora_A.weight": torch.tensor([[down]]),
            f"{STEM}.lora_B.weight": torch.tensor([[up]]),
        }
        return Adapter({"r": 1, "lora_alpha": 2}, tensors)

    mean = adapter_mean([one(1.0, 3.0), one(5.0, 7.0)], [1, 1])
    assert weight_change(mean).item() == 38.0
    assert mean.tensors[f"{STEM}.lora_A.weight"].tolist() == [[3.0], [7.0]]
    assert mean.tensors[f"{STEM}.lora_B.weight"].tolist() == [[1.0, 5.0]]


def test_it_attaches_with_the_right_scale(base: Base, adapter: Adapter) -> None:
    other = adapter.replace({name: tensor.flip(0) for name, tensor in adapter.tensors.items()})
    mean = adapter_mean([adapter, other], [1, 3])
    check_compatible(base, mean)
    tokens = torch.tensor([[1, 5, 9, 3]])
    model = attach(base, mean)
    merged = attach(base, adapter)
    with torch.no_grad():
        for name, module in merged.named_modules():
            if f"{name}.lora_A.weight" in adapter.tensors:
                # What the mean should do, written into the base weight of a private copy.
                change = (weight_change(adapter, name) + 3 * weight_change(other, name)) / 4
                module.base_layer.weight = torch.nn.Parameter(module.base_layer.weight + change)
                module.lora_B["default"].weight.zero_()
        torch.testing.assert_close(
            model(input_ids=tokens).logits, merged(input_ids=tokens).logits, rtol=1e-4, atol=1e-5
        )


def test_one_adapter_is_its_own_mean(adapter: Adapter) -> None:
    assert adapter_mean([adapter], [7]).to_bytes() == adapter.to_bytes()


@pytest.mark.parametrize(
    "change",
    [{"alpha_pattern": {"m": 3}}, {"rank_pattern": {"m": 1}}, {"use_rslora": True}],
)
def test_scales_that_differ_by_module_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AdapterMismatch, match=next(iter(change))):
        adapter_mean([random_adapter(0, **change), random_adapter(1, **change)], [1, 1])


def test_only_adapters_of_one_form_can_be_joined() -> None:
    with pytest.raises(AdapterMismatch, match="different configurations"):
        adapter_mean([random_adapter(0), random_adapter(1, lora_alpha=8)], [1, 1])
    with pytest.raises(AdapterMismatch, match="different configurations"):
        adapter_mean([random_adapter(0), random_adapter(1).replace({})], [1, 1])
    with pytest.raises(AdapterMismatch, match="neither the A nor the B"):
        adapter_mean([random_adapter(0).replace({f"{STEM}.lora_magnitude": torch.ones(1)})], [1])
    with pytest.raises(AdapterMismatch, match="no adapters"):
        adapter_mean([], [])
