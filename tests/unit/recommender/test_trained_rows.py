"""Trained rows of the embedding and the output layer, as parts of an adapter."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from recommender import (
    Adapter,
    AdapterConfig,
    AdapterMismatch,
    Base,
    TrainingConfig,
    adapter_parameters,
    attach,
    check_compatible,
    fit_adapter,
)
from recommender.adapters import trainable
from recommender.operators_adapter import adopted, refittable
from recommender.trained_rows import ROWS_OPTION, TrainedRows, indices_of, spans_of

EMBED, HEAD = ((3, 5), (9, 10)), ((0, 1), (20, 26))
UNTIED = TrainedRows(EMBED, HEAD)
TIED = TrainedRows(EMBED, tied=True)
TOKENS = torch.arange(24).reshape(3, 8)


def tied_copy(base: Base) -> Base:
    """A base of the same shape that shares one matrix between embedding and output layer."""
    own = base.model.config
    assert isinstance(own, LlamaConfig)
    config = LlamaConfig(**{**own.to_dict(), "tie_word_embeddings": True})
    model = LlamaForCausalLM(config)
    state = {name: tensor for name, tensor in base.model.state_dict().items() if name != "lm_head.weight"}
    model.load_state_dict({**state, "lm_head.weight": state["model.embed_tokens.weight"]})
    model.tie_weights()
    return replace(base, model=model.requires_grad_(False).eval())


@pytest.fixture(scope="module", params=["untied", "tied"])
def any_base(request: pytest.FixtureRequest, base: Base) -> Base:
    return base if request.param == "untied" else tied_copy(base)


def with_rows(adapter: Adapter, rows: TrainedRows, width: int = 16) -> Adapter:
    draw = torch.Generator().manual_seed(5)
    changes = {name: torch.randn(count, width, generator=draw) for name, count in rows.counts.items()}
    return Adapter({**adapter.config, ROWS_OPTION: rows.to_plain()}, {**adapter.tensors, **changes})


def logits(model: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=TOKENS, use_cache=False).logits
    return found


def changed_by_hand(base: Base, adapter: Adapter) -> Tensor:
    """The logits of a copy whose two matrices hold base plus change."""
    config = LlamaConfig(**{**base.model.config.to_dict(), "tie_word_embeddings": False})
    model = LlamaForCausalLM(config)
    model.load_state_dict(base.model.state_dict())
    rows, tensors = adapter.rows, adapter.tensors
    with torch.no_grad():
        model.model.embed_tokens.weight[indices_of(rows.embed)] += tensors["embed_rows"]
        head = "embed_rows" if rows.tied else "head_rows"
        model.lm_head.weight[indices_of(rows.head or rows.embed)] += tensors[head]
    plain = adapter.replace({name: one for name, one in tensors.items() if "rows" not in name})
    config_without = {name: one for name, one in adapter.config.items() if name != ROWS_OPTION}
    return logits(attach(replace(base, model=model.eval()), Adapter(config_without, plain.tensors)))


def test_the_logits_are_those_of_changed_matrices(any_base: Base, adapter: Adapter) -> None:
    tied = bool(any_base.model.config.tie_word_embeddings)
    before = {name: tensor.clone() for name, tensor in any_base.model.state_dict().items()}
    for rows in (UNTIED, TIED) if tied else (UNTIED,):
        changed = with_rows(adapter, rows)
        attached = attach(any_base, changed)
        torch.testing.assert_close(logits(attached), changed_by_hand(any_base, changed), atol=1e-5, rtol=0)
        assert Adapter.from_peft(attached).to_bytes() == changed.to_bytes()
        assert Adapter.from_peft(attached).rows == rows
        ours = {tensor.data_ptr() for tensor in any_base.model.parameters()}
        assert ours <= {tensor.data_ptr() for tensor in attached.parameters()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in any_base.model.state_dict().items())


def test_changes_of_zero_are_the_base_bit_for_bit(any_base: Base, adapter: Adapter) -> None:
    nothing = with_rows(adapter, UNTIED)
    nothing = nothing.replace({name: one * ("rows" not in name) for name, one in nothing.tensors.items()})
    assert torch.equal(logits(attach(any_base, nothing)), logits(attach(any_base, adapter)))


def test_a_half_precision_base_adds_in_full_precision(base: Base, adapter: Adapter) -> None:
    half = replace(base, model=copy.deepcopy(base.model).to(torch.bfloat16))
    changed = with_rows(adapter, UNTIED)
    attached = attach(half, changed)
    embedded = attached.get_base_model().get_input_embeddings()(torch.tensor([3, 5]))  # type: ignore[operator]
    weight = half.model.state_dict()["model.embed_tokens.weight"]
    expected = (weight[3].float() + changed.tensors["embed_rows"][0]).to(torch.bfloat16)
    assert torch.equal(embedded[0], expected)
    assert torch.equal(embedded[1], weight[5])
    assert logits(attached).dtype == torch.bfloat16


def test_the_parameters_have_the_stored_names_and_values(base: Base, adapter: Adapter) -> None:
    changed = with_rows(adapter, UNTIED)
    found = adapter_parameters(attach(base, changed))
    assert found.keys() == changed.tensors.keys()
    assert changed.replace(found).to_bytes() == changed.to_bytes()


@pytest.mark.parametrize("tied", [False, True])
def test_training_trains_the_rows(base: Base, sequences: list[list[int]], tied: bool, tmp_path: Path) -> None:
    which, on = (TIED, tied_copy(base)) if tied else (UNTIED, base)
    config = AdapterConfig(r=2, alpha=4, target_modules=("lm_head", "q_proj"), rows=which)
    training = TrainingConfig(epochs=1, batch_size=4, lr=1e-2, patience=None)
    fitted = fit_adapter(on, sequences, config, training)
    assert fitted.rows == which
    assert all(bool(fitted.tensors[name].any(1).any()) for name in which.counts)
    assert AdapterConfig.of(fitted) == config == AdapterConfig.from_plain(config.to_plain())
    assert fit_adapter(on, sequences, config, training).to_bytes() == fitted.to_bytes()
    assert refittable(on, adopted(on, fitted)) == config
    fitted.save(tmp_path)
    assert Adapter.load(tmp_path).rows == which
    fresh = trainable(on, config.to_peft(), which).eval()
    assert torch.equal(logits(fresh), logits(on.model))


def test_plain_lora_says_nothing_of_rows(adapter: Adapter) -> None:
    assert ROWS_OPTION not in adapter.config
    assert not adapter.rows
    assert "rows" not in AdapterConfig.of(adapter).to_plain()


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"embed": [[3, 3]]}, "in rising order"),
        ({"embed": [[3, 5], [4, 6]]}, "in rising order"),
        ({"embed": [[-1, 2]]}, "below 0"),
        ({"embed": [[1, 2, 3]]}, "in rising order"),
        ({"embed": [[0, 2.5]]}, "form that Lethe writes"),
        ({"embed": 3}, "form that Lethe writes"),
        ([1], "form that Lethe writes"),
        ({"embed": [], "other": 1}, "form that Lethe writes"),
        ({"head": [[0, 1]], "tied": True}, "embedding alone"),
    ],
)
def test_rows_of_another_form_are_refused(base: Base, adapter: Adapter, plain: Any, message: str) -> None:
    with pytest.raises(AdapterMismatch, match=message):
        check_compatible(base, Adapter({**adapter.config, ROWS_OPTION: plain}, adapter.tensors))


def test_rows_that_do_not_fit_are_refused(base: Base, adapter: Adapter) -> None:
    good = with_rows(adapter, UNTIED)
    less = {name: one for name, one in good.tensors.items() if name != "embed_rows"}
    for tensors, message in (
        (less, "lacks 1 tensors, first embed_rows"),
        ({**good.tensors, "embed_rows": torch.zeros(2, 16)}, r"embed_rows has shape \(2, 16\)"),
        (
            {**good.tensors, "head_rows": torch.full((7, 16), torch.nan)},
            "head_rows holds values that are not",
        ),
    ):
        with pytest.raises(AdapterMismatch, match=message):
            check_compatible(base, good.replace(tensors))
    with pytest.raises(AdapterMismatch, match="trained row 29, and this base has 26 tokens"):
        check_compatible(base, with_rows(adapter, TrainedRows(((20, 30),))))
    with pytest.raises(AdapterMismatch, match="does not tie"):
        check_compatible(base, with_rows(adapter, TIED))


def test_spans() -> None:
    assert spans_of([3, 4, 9]) == EMBED
    assert indices_of(EMBED).tolist() == [3, 4, 9]
    assert spans_of([]) == ()
