import copy
import gc
import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from torch import Tensor

from recommender import (
    Adapter,
    AdapterMismatch,
    Base,
    ModelLoadError,
    Scorer,
    adapter_parameters,
    attach,
    check_compatible,
    load_base,
)
from recommender.adapters import _skeletons, trainable
from recommender.plain_lora import _REFUSED_WHEN_SET

HISTORIES = [[], [3], [1, 2, 3, 4, 5, 6, 7, 8], [20, 4]]


def log_probs(model: torch.nn.Module, base: Base) -> Tensor:
    return Scorer(model, base.style).item_log_probs(HISTORIES)


@pytest.fixture(scope="module")
def other(adapter: Adapter) -> Adapter:
    """The same adapter, twice as strong."""
    doubled = {name: tensor * 2 if "lora_B" in name else tensor for name, tensor in adapter.tensors.items()}
    return adapter.replace(doubled)


# ------------------------------------------------------------------------------------------- attaching


def test_every_base_tensor_is_shared(base: Base, adapter: Adapter):
    attached = attach(base, adapter)
    theirs = {tensor.data_ptr() for tensor in [*attached.parameters(), *attached.buffers()]}
    ours = {tensor.data_ptr() for tensor in [*base.model.parameters(), *base.model.buffers()]}
    assert ours <= theirs
    private = {id(p) for p in attached.parameters()} - {id(p) for p in base.model.parameters()}
    assert len(private) == len(adapter.tensors)


def test_the_base_is_left_as_it_was(base: Base, adapter: Adapter):
    modules = [type(module) for module in base.model.modules()]
    before = log_probs(base.model, base)
    attach(base, adapter)
    assert [type(module) for module in base.model.modules()] == modules
    assert torch.equal(log_probs(base.model, base), before)
    assert not hasattr(base.model, "peft_config")


def test_versions_are_independent(base: Base, adapter: Adapter, other: Adapter):
    first = attach(base, adapter)
    before = log_probs(first, base)
    second = attach(base, other)
    assert torch.equal(log_probs(first, base), before)
    assert not torch.allclose(log_probs(second, base), before, atol=1e-3)


def test_the_adapter_matters(base: Base, adapter: Adapter):
    assert not torch.allclose(log_probs(attach(base, adapter), base), log_probs(base.model, base), atol=1e-2)


def test_the_lora_tensors_are_copies(base: Base, adapter: Adapter):
    mine = adapter.replace({name: tensor.clone() for name, tensor in adapter.tensors.items()})
    attached = attach(base, mine)
    before = log_probs(attached, base)
    for tensor in mine.tensors.values():
        tensor.zero_()
    assert torch.equal(log_probs(attached, base), before)


def test_an_attached_model_is_for_inference_only(base: Base, adapter: Adapter):
    attached = attach(base, adapter)
    assert not any(parameter.requires_grad for parameter in attached.parameters())
    assert not any(module.training for module in attached.modules())


def test_attaching_leaves_the_random_generator_alone(base: Base, adapter: Adapter):
    before = torch.get_rng_state()
    attach(base, adapter)
    check_compatible(base, adapter)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_version_that_is_let_go_is_freed(base: Base, adapter: Adapter):
    attached = attach(base, adapter)
    watch = weakref.ref(attached)
    del attached
    gc.collect()
    assert watch() is None


def test_a_trainable_model_shares_the_base_and_trains_only_lora(base: Base):
    model = trainable(base, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert all("lora_" in name for name, parameter in model.named_parameters() if parameter.requires_grad)
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    # Fresh LoRA is the identity: B starts at zero.
    assert torch.equal(log_probs(model.eval(), base), log_probs(base.model, base))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_half_precision_base_computes_as_under_peft(
    base: Base, adapter: Adapter, tmp_path: Path, dtype: torch.dtype
):
    half = replace(base, model=copy.deepcopy(base.model).to(torch.bfloat16))
    stored = adapter.replace({name: tensor.to(dtype) for name, tensor in adapter.tensors.items()})
    stored.save(tmp_path)
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        theirs = PeftModel.from_pretrained(copy.deepcopy(half.model), tmp_path).eval()
    assert torch.equal(log_probs(attach(half, stored), half), log_probs(theirs, half))


def test_every_variant_of_lora_that_peft_knows_is_refused():
    variants = {
        name
        for name, field in LoraConfig.__dataclass_fields__.items()
        if field.metadata.get("is_lora_variant")
    }
    assert variants
    assert variants <= set(_REFUSED_WHEN_SET)


# ------------------------------------------------------------------------------------ LoRA tensors by name


def test_adapter_parameters_have_the_stored_names_and_values(base: Base, adapter: Adapter):
    found = adapter_parameters(attach(base, adapter))
    assert found.keys() == adapter.tensors.keys()
    for name, tensor in adapter.tensors.items():
        assert torch.equal(found[name], tensor)
    assert adapter.replace(found).to_bytes() == adapter.to_bytes()


def test_adapter_parameters_are_the_models_own(base: Base, adapter: Adapter):
    model = attach(base, adapter)
    before = log_probs(base.model, base)
    with torch.no_grad():
        for name, parameter in adapter_parameters(model).items():
            if "lora_B" in name:
                parameter.zero_()
    assert torch.equal(log_probs(model, base), before)
    ours = {id(parameter) for parameter in base.model.parameters()}
    assert ours.isdisjoint(id(parameter) for parameter in adapter_parameters(model).values())


def test_adapter_parameters_of_an_embedding_have_the_stored_names(base: Base):
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["embed_tokens", "lm_head"], task_type="CAUSAL_LM")
    model = trainable(base, config)
    found = adapter_parameters(model)
    assert found.keys() == Adapter.from_peft(model).tensors.keys()
    assert "base_model.model.model.embed_tokens.lora_embedding_A" in found


# --------------------------------------------------------------------------- ordinary PEFT folders


def test_peft_reads_what_we_write(base_folder: Path, base: Base, adapter: Adapter, tmp_path: Path):
    adapter.save(tmp_path)
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        theirs = PeftModel.from_pretrained(load_base(base_folder).model, tmp_path).eval()
    assert torch.equal(log_probs(theirs, base), log_probs(attach(base, adapter), base))


def test_we_read_what_peft_writes(base_folder: Path, base: Base, adapter: Adapter, tmp_path: Path):
    adapter.save(tmp_path / "ours")
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        theirs = PeftModel.from_pretrained(load_base(base_folder).model, tmp_path / "ours")
    # PEFT would add the base's own output layer to the file as soon as an adapter targets it.
    theirs.save_pretrained(tmp_path / "theirs", save_embedding_layers=False)
    loaded = Adapter.load(tmp_path / "theirs")
    assert loaded.to_bytes() == adapter.to_bytes()
    assert torch.equal(log_probs(attach(base, loaded), base), log_probs(attach(base, adapter), base))


def test_the_names_are_pefts(base: Base, adapter: Adapter):
    names = get_peft_model_state_dict(attach(base, adapter), save_embedding_layers=False).keys()
    assert adapter.tensors.keys() == names
    assert adapter.tensors["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"].shape == (4, 16)
    assert adapter.tensors["base_model.model.lm_head.lora_B.weight"].shape == (26, 4)


def test_save_and_load_round_trip(adapter: Adapter, tmp_path: Path):
    adapter.save(tmp_path)
    loaded = Adapter.load(tmp_path)
    assert loaded.config == adapter.config
    assert loaded.to_bytes() == adapter.to_bytes() == (tmp_path / "adapter_model.safetensors").read_bytes()
    assert Adapter.from_bytes(adapter.config, adapter.to_bytes()).to_bytes() == adapter.to_bytes()


def test_the_config_names_no_machine(adapter: Adapter):
    assert adapter.config["base_model_name_or_path"] is None
    assert adapter.config["inference_mode"] is True
    assert (adapter.config["r"], adapter.config["lora_alpha"]) == (4, 8)


def test_bytes_do_not_depend_on_the_order_of_names(adapter: Adapter):
    backwards = adapter.replace(dict(reversed(list(adapter.tensors.items()))))
    assert backwards.to_bytes() == adapter.to_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("adapter_config.json", None, r"has no adapter_config\.json"),
        ("adapter_config.json", b"{", "is not JSON"),
        ("adapter_config.json", b"\xff", "is not JSON"),
        ("adapter_config.json", b"[]", "is not a JSON object"),
        ("adapter_model.safetensors", None, r"has no adapter_model\.safetensors"),
        ("adapter_model.safetensors", b"\x80\x04\x95", "not safetensors"),
        ("adapter_model.safetensors", b"", "not safetensors"),
    ],
)
def test_a_spoilt_folder_says_what_is_wrong(
    adapter: Adapter, tmp_path: Path, name: str, content: bytes | None, message: str
):
    adapter.save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadError, match=message):
        Adapter.load(tmp_path)


# ------------------------------------------------------------------------------------ what does not fit

A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
Spoil = Callable[[dict[str, Any], dict[str, Tensor]], object]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c, t: c.update(peft_type="IA3"), "only LoRA"),
        (lambda c, t: c.pop("peft_type"), "only LoRA"),
        (lambda c, t: c.pop("r"), "positive r"),
        (lambda c, t: c.pop("lora_alpha"), "positive lora_alpha"),
        (lambda c, t: c.update(lora_alpha=0), "positive lora_alpha"),
        (lambda c, t: c.update(r=True), "positive r"),
        (lambda c, t: c.update(r="4"), "positive r"),
        (lambda c, t: c.update(r=8), r"shape \(4, 16\), this base needs \(8, 16\)"),
        (lambda c, t: c.update(bias="all"), "biases"),
        (lambda c, t: c.update(use_dora=True), "not plain LoRA: use_dora"),
        (lambda c, t: c.update(modules_to_save=["lm_head"]), "not plain LoRA: modules_to_save"),
        (lambda c, t: c.update(init_lora_weights="pissa"), "'pissa' changes the base weights"),
        (lambda c, t: c.update(init_lora_weights="olora"), "'olora' changes the base weights"),
        (lambda c, t: c.update(invented_option=3), "not plain LoRA: invented_option"),
        (lambda c, t: c.update(target_modules=["no_such_module"]), "does not fit this base"),
        (lambda c, t: c.update(target_modules=["q_proj"]), "has unexpected"),
        (lambda c, t: t.pop(A), f"lacks 1 tensors, first {A}"),
        (lambda c, t: t.update(extra=torch.zeros(1)), "has unexpected 1 tensors, first extra"),
        (lambda c, t: t.update({A: torch.zeros(4, 17)}), r"shape \(4, 17\)"),
        (lambda c, t: t.update({A: torch.full((4, 16), torch.nan)}), "not finite"),
        (lambda c, t: t.update({A: torch.ones(4, 16, dtype=torch.int64)}), "not finite floating-point"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(base: Base, adapter: Adapter, spoil: Spoil, message: str):
    config, tensors = copy.deepcopy(dict(adapter.config)), dict(adapter.tensors)
    spoil(config, tensors)
    before = log_probs(base.model, base)
    for refuse in (check_compatible, attach):
        with pytest.raises(AdapterMismatch, match=message.replace("[", r"\[")):
            refuse(base, Adapter(config, tensors))
    assert torch.equal(log_probs(base.model, base), before)


def test_options_that_are_off_do_not_matter(base: Base, adapter: Adapter):
    config = json.loads(json.dumps(dict(adapter.config))) | {"option_of_tomorrow": None}
    config.pop("lora_dropout")
    check_compatible(base, Adapter(config, adapter.tensors))


def test_another_alpha_is_another_model(base: Base, adapter: Adapter):
    stronger = Adapter({**adapter.config, "lora_alpha": 16}, adapter.tensors)
    doubled = adapter.replace({n: t * 2 if "lora_B" in n else t for n, t in adapter.tensors.items()})
    assert torch.allclose(
        log_probs(attach(base, stronger), base), log_probs(attach(base, doubled), base), atol=1e-5
    )


def test_a_version_of_the_same_form_does_not_depend_on_those_attached_before(
    base: Base, adapter: Adapter, other: Adapter
):
    first = attach(base, adapter)
    with torch.no_grad():
        for parameter in adapter_parameters(first).values():
            parameter.fill_(7.0)
    first.base_model.model.lm_head = torch.nn.Identity()
    second = attach(base, other)
    torch.testing.assert_close(dict(adapter_parameters(second)), dict(other.tensors))
    assert torch.equal(log_probs(second, base), log_probs(attach(base, other), base))


def test_a_base_whose_tensor_was_replaced_is_shared_as_it_is_now(base: Base, adapter: Adapter):
    attach(base, adapter)
    other = copy.deepcopy(base.model)
    mine = replace(base, model=other)
    attach(mine, adapter)
    other.lm_head.weight = torch.nn.Parameter(torch.zeros_like(other.lm_head.weight), requires_grad=False)
    assert attach(mine, adapter).base_model.model.lm_head.weight is other.lm_head.weight


def test_what_is_kept_of_a_base_does_not_keep_it(base: Base, adapter: Adapter):
    mine = copy.deepcopy(base.model)
    attach(replace(base, model=mine), adapter)
    gone = weakref.ref(mine)
    del mine
    gc.collect()
    assert gone() is None


def test_a_quantised_base_gets_a_tree_of_its_own_for_each_version(
    base: Base, adapter: Adapter, other: Adapter
):
    mine = replace(base, model=copy.deepcopy(base.model))
    mine.model.is_quantized = True
    first, second = attach(mine, adapter), attach(mine, other)
    torch.testing.assert_close(log_probs(first, base), log_probs(attach(base, adapter), base))
    torch.testing.assert_close(log_probs(second, base), log_probs(attach(base, other), base))
    assert mine.model not in _skeletons
