from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.styles.frozen_layers import FrozenLayers, with_frozen_layers
from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    Catalogue,
    ItemTokenStyle,
    TrainingConfig,
    attach,
    fit_adapter,
)

PAD = 0


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).requires_grad_(False)


def test_the_short_model_gives_the_logits_of_the_whole_one_where_it_is_asked(
    model: LlamaForCausalLM, tmp_path: Path
) -> None:
    tokens = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, PAD, PAD]])
    whole = model(input_ids=tokens, use_cache=False).logits
    short = with_frozen_layers(model, PAD, tmp_path)
    assert short.config.num_hidden_layers == len(short.model.layers) == 1
    first, again = (short(input_ids=tokens, use_cache=False).logits for _ in range(2))
    assert torch.equal(first, again)
    assert torch.allclose(first[0, 3:], whole[0, 3:], atol=1e-5)
    assert torch.allclose(first[1, 1:3], whole[1, 1:3], atol=1e-5)
    kept = torch.tensor([2])
    chosen = short(input_ids=tokens, use_cache=False, logits_to_keep=kept).logits
    assert torch.allclose(chosen, first[:, kept], atol=1e-6)


def test_a_prompt_is_computed_once_and_has_the_same_bits_in_every_batch(
    model: LlamaForCausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = FrozenLayers(model, 2, PAD, tmp_path)(torch.tensor([[8, 9, 10]]))
    kept = list(tmp_path.rglob("*.npy"))
    assert len(kept) == 1
    monkeypatch.setattr(FrozenLayers, "_computed", lambda *_: pytest.fail("computed again"))
    padded = FrozenLayers(model, 2, PAD, tmp_path)(torch.tensor([[8, 9, 10, PAD], [8, 9, 10, PAD]]))
    assert torch.equal(padded[1, :3], alone[0])
    assert not padded[:, 3].any()


def test_an_adapter_is_fitted_on_the_last_layer_alone(model: LlamaForCausalLM, tmp_path: Path) -> None:
    catalogue = Catalogue(tuple("abcdefgh"), tuple("abcdefgh"))
    short = with_frozen_layers(model, PAD, tmp_path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    base = Base(short, catalogue, ItemTokenStyle(8, window=8, pad_token=PAD), "none")
    config = AdapterConfig(r=2, alpha=4, target_modules=("q_proj", "v_proj"), dropout=0.0)
    adapter = fit_adapter(
        base, [(0, 1, 2, 3), (4, 5, 6)], config, TrainingConfig(epochs=3, lr=1e-2, patience=None)
    )
    assert isinstance(adapter, Adapter)
    assert {name.split("layers.")[1][0] for name in adapter.tensors} == {"0"}
    tokens = torch.tensor([[1, 2, 3]])
    assert not torch.equal(attach(base, adapter)(input_ids=tokens).logits, short(input_ids=tokens).logits)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_model_of_one_layer_has_none_to_freeze(model: LlamaForCausalLM, tmp_path: Path) -> None:
    model.model.layers = model.model.layers[:1]
    with pytest.raises(ValueError, match="at least two layers"):
        with_frozen_layers(model, PAD, tmp_path)
