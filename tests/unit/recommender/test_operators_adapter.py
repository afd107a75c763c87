"""Adapters that PEFT itself saved, with what else such folders hold, and of which base they are."""

import copy
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from recommender import (
    Adapter,
    AdapterConfig,
    AdapterMismatch,
    Base,
    ModelLoadError,
    Scorer,
    attach,
    load_base,
)
from recommender.operators_adapter import adopted, origin, refittable

LINEAR = ["q_proj", "lm_head"]


def peft_saves(model: PreTrainedModel, folder: Path, modules: list[str] | str, **options: Any) -> PeftModel:
    """`save_pretrained` without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lora = LoraConfig(r=2, lora_alpha=4, target_modules=modules, task_type="CAUSAL_LM", **options)
        tuned = PeftModel(model, lora)
        with torch.no_grad():
            for parameter in tuned.parameters():
                if parameter.requires_grad:
                    parameter += torch.randn_like(parameter) * 0.1
        tuned.save_pretrained(folder)
    return tuned.eval()


@pytest.mark.parametrize(
    ("modules", "extra"),
    [
        (["q_proj", "lm_head"], {"base_model.model.lm_head.base_layer.weight"}),
        (["q_proj", "embed_tokens"], {"base_model.model.model.embed_tokens.base_layer.weight"}),
        (
            r".*(q_proj|embed_tokens|lm_head)",
            {
                "base_model.model.model.embed_tokens.base_layer.weight",
                "base_model.model.lm_head.base_layer.weight",
            },
        ),
        (["q_proj", "v_proj"], set()),
    ],
)
def test_what_save_pretrained_adds_of_the_base_is_left_behind(
    base: Base, base_folder: Path, tmp_path: Path, modules: list[str] | str, extra: set[str]
):
    theirs = peft_saves(load_base(base_folder).model, tmp_path, modules)
    loaded = Adapter.load(tmp_path)
    adapter = adopted(base, loaded)
    assert loaded.tensors.keys() - adapter.tensors.keys() == extra
    refittable(base, adapter)
    scores = [
        Scorer(model, base.style).item_log_probs([[], [3, 4]]) for model in (theirs, attach(base, adapter))
    ]
    torch.testing.assert_close(scores[0], scores[1])


def test_a_vocabulary_that_seems_resized_adds_both_layers(base: Base, base_folder: Path, tmp_path: Path):
    # PEFT compares with the vocabulary on disk: here that of the model before the items were added.
    before = tmp_path / "before"
    shutil.copytree(base_folder, before)
    config = json.loads((before / "config.json").read_text())
    (before / "config.json").write_text(json.dumps(config | {"vocab_size": 7}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lora = LoraConfig(
            r=2, target_modules="all-linear", task_type="CAUSAL_LM", base_model_name_or_path=str(before)
        )
        PeftModel(load_base(base_folder).model, lora).save_pretrained(tmp_path / "adapter")
    loaded = Adapter.load(tmp_path / "adapter")
    assert {
        "base_model.model.lm_head.weight",
        "base_model.model.model.embed_tokens.weight",
    } <= loaded.tensors.keys()
    adapter = adopted(base, loaded)
    assert all(".lora_" in name for name in adapter.tensors)
    refittable(base, adapter)


@pytest.mark.parametrize(
    ("modules", "name", "kind"),
    [
        (["lm_head"], "base_model.model.lm_head.base_layer.weight", "changed output layer"),
        (
            ["embed_tokens"],
            "base_model.model.model.embed_tokens.base_layer.weight",
            "changed embedding layer",
        ),
    ],
)
def test_a_changed_embedding_or_output_layer_is_refused(
    base: Base, base_folder: Path, tmp_path: Path, modules: list[str], name: str, kind: str
):
    peft_saves(load_base(base_folder).model, tmp_path, modules)
    loaded = Adapter.load(tmp_path)
    changed = loaded.tensors[name].clone()
    changed[5, 3] += 0.01
    for tensor in (changed, loaded.tensors[name][:-1]):
        with pytest.raises(AdapterMismatch, match=f"{kind}.*which Lethe cannot forget in") as refused:
            adopted(base, loaded.replace({**loaded.tensors, name: tensor}))
        assert "\n" not in str(refused.value)


def test_a_changed_layer_of_the_base_is_refused(base: Base, adapter: Adapter):
    name = "model.layers.0.self_attn.q_proj.weight"
    changed = {**adapter.tensors, f"base_model.model.{name}": base.model.state_dict()[name] + 1}
    with pytest.raises(AdapterMismatch, match="changed layer of the base"):
        adopted(base, adapter.replace(changed))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_folder_in_half_precision_loads(base: Base, base_folder: Path, tmp_path: Path, dtype: torch.dtype):
    peft_saves(load_base(base_folder).model, tmp_path, LINEAR)
    file = tmp_path / "adapter_model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in load_file(file).items()}, file)
    adapter = adopted(base, Adapter.load(tmp_path))
    assert all(".lora_" in name and tensor.dtype == dtype for name, tensor in adapter.tensors.items())
    refittable(base, adapter)


def test_whatever_else_lies_in_the_folder_does_not_matter(base: Base, base_folder: Path, tmp_path: Path):
    peft_saves(load_base(base_folder).model, tmp_path, LINEAR)
    for name in ("README.md", "trainer_state.json", "tokenizer_config.json", "training_args.bin"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "checkpoint-500").mkdir()
    refittable(base, adopted(base, Adapter.load(tmp_path)))


def test_a_folder_that_holds_something_else_is_named_as_that(
    base: Base, base_folder: Path, adapter: Adapter, tmp_path: Path
):
    for step in (100, 200):
        adapter.save(tmp_path / "run" / f"checkpoint-{step}")
    pickled, sharded = tmp_path / "pickled", tmp_path / "sharded"
    for folder, name in (
        (pickled, "adapter_model.bin"),
        (sharded, "adapter_model-00001-of-00002.safetensors"),
    ):
        adapter.save(folder)
        (folder / "adapter_model.safetensors").rename(folder / name)
    for folder, message in (
        (tmp_path / "run", r"folders below it \(checkpoint-100, checkpoint-200\): name one of them"),
        (pickled, "pickled"),
        (sharded, "split over several files"),
        (base_folder, "a whole model.*merged"),
        (tmp_path / "nowhere", "is not a folder"),
    ):
        with pytest.raises(ModelLoadError, match=message):
            Adapter.load(folder)


def test_names_whose_order_decides_are_refused(base: Base, adapter: Adapter):
    # PEFT would give q_proj the first: 16 here, 4 after the file was written again with its keys sorted.
    overlapping = {"self_attn.q_proj": 16, ".*q_proj": 4}
    with pytest.raises(
        AdapterMismatch, match=r"alpha_pattern names model\.layers\.0\.self_attn\.q_proj twice"
    ):
        adopted(base, Adapter({**adapter.config, "alpha_pattern": overlapping}, adapter.tensors))
    apart = {"q_proj": 16, "k_proj": 4}
    adopted(base, Adapter({**adapter.config, "alpha_pattern": apart}, adapter.tensors))


def test_a_start_that_cannot_be_made_is_refused_before_any_training(
    base: Base, base_folder: Path, tmp_path: Path
):
    peft_saves(load_base(base_folder).model, tmp_path, ["q_proj"])
    adapter = Adapter.load(tmp_path)
    odd = {
        name: tensor[:1] if "lora_A" in name else tensor[:, :1] for name, tensor in adapter.tensors.items()
    }
    state = torch.get_rng_state()
    with pytest.raises(AdapterMismatch, match="rank to be even"):
        refittable(base, Adapter({**adapter.config, "r": 1, "init_lora_weights": "orthogonal"}, odd))
    with pytest.raises(AdapterMismatch, match="'eva' is a start that a re-fit cannot repeat"):
        refittable(base, Adapter({**adapter.config, "init_lora_weights": "eva"}, adapter.tensors))
    assert refittable(base, adapter) == AdapterConfig(2, 4, ("q_proj",), 0.0)
    assert torch.equal(torch.get_rng_state(), state)


# ------------------------------------------------------------------------------------------- of which base


def named(adapter: Adapter, name: str | None, **more: str) -> Adapter:
    return Adapter({**adapter.config, "base_model_name_or_path": name, **more}, adapter.tensors)


def test_a_base_folder_is_compared_by_its_weights(
    base: Base, base_folder: Path, adapter: Adapter, tmp_path: Path
):
    # Saved again, in half precision, and without a catalogue: still the same base.
    half = copy.deepcopy(base.model).to(torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    other = copy.deepcopy(base.model)
    with torch.no_grad():
        other.lm_head.weight[3, 4] += 0.5
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    for folder, expected in (
        (base_folder, "same"),
        (tmp_path / "half", "same"),
        (tmp_path / "other", "other"),
        (tmp_path / "empty", "unknown"),
    ):
        assert origin(base, named(adapter, str(folder))) == (expected, str(folder))


def test_a_name_is_compared_with_the_bases(base: Base, adapter: Adapter):
    hub = replace(base, model=copy.deepcopy(base.model))
    hub.model.name_or_path = "shop/base"
    hub.model.config._commit_hash = "a" * 40
    assert origin(hub, named(adapter, "shop/base")) == ("same", "shop/base")
    assert origin(hub, named(adapter, "shop/base", revision="a" * 40))[0] == "same"
    assert origin(hub, named(adapter, "shop/base", revision="b" * 40))[0] == "unknown"
    assert origin(hub, named(adapter, "other/base")) == ("unknown", "other/base")
    assert origin(hub, named(adapter, None)) == ("unknown", "")
