"""A tree around the same tensors is what a deep copy is, and no part of it is the other's."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from peft import LoraConfig
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from recommender.adapters import _peft_model
from recommender.module_trees import share_tensors


def _llama(*, tied: bool) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            tie_word_embeddings=tied,
        )
    )  # fmt: skip


def models() -> Iterator[nn.Module]:
    torch.manual_seed(0)
    yield _llama(tied=True)
    yield GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2))
    yield _peft_model(_llama(tied=False), LoraConfig(r=2, target_modules=["q_proj", "embed_tokens"]))


def outline(value: Any, seen: dict[int, int]) -> Any:
    """What a tree holds, without addresses: two trees of one outline are alike, and alike within."""
    if isinstance(value, str | int | float | bool | None | torch.dtype | torch.device):
        return value
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.is_meta or value.tolist()
    if id(value) in seen:
        return ("seen", seen[id(value)])
    seen[id(value)] = len(seen)
    if isinstance(value, dict):
        return type(value), [(name, outline(one, seen)) for name, one in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [outline(one, seen) for one in value]
    if isinstance(value, set):
        return sorted(map(repr, value))
    if isinstance(value, nn.Module):
        return type(value), outline(value.__dict__, seen)
    return type(value)


def test_it_is_what_a_deep_copy_is() -> None:
    for model in models():
        assert outline(share_tensors(model), {}) == outline(copy.deepcopy(model), {})


def test_it_shares_the_tensors_and_nothing_that_changes() -> None:
    for model in models():
        extra: dict[str, Any] = {"list": [1], "tensor": torch.zeros(2), "set": {1}}
        model.__dict__["extra"] = extra
        copied = share_tensors(model)
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            own: Any = (
                copied.get_parameter(name) if isinstance(tensor, nn.Parameter) else copied.get_buffer(name)
            )
            assert own is tensor
        own_modules = {id(module) for module in model.modules()}
        assert own_modules.isdisjoint(id(module) for module in copied.modules())
        own_extra = copied.__dict__["extra"]
        assert (own_extra["list"], own_extra["set"]) == (extra["list"], extra["set"])
        assert all(own_extra[name] is not extra[name] for name in extra)


def test_a_copy_is_changed_and_the_model_is_not() -> None:
    for model in models():
        prompt = torch.arange(6).unsqueeze(0)
        before = model.eval()(prompt).logits
        copied = share_tensors(model)
        torch.testing.assert_close(copied(prompt).logits, before, rtol=0, atol=0)
        for module in copied.modules():
            module.register_forward_hook(lambda *_: None)
            if isinstance(module, nn.Linear):
                module.weight = nn.Parameter(torch.zeros_like(module.weight))
        assert not torch.equal(copied(prompt).logits, before)
        torch.testing.assert_close(model(prompt).logits, before, rtol=0, atol=0)
