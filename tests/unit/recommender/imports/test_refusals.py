"""What an import refuses: one message, and nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftConfig, PeftModel, PromptTuningConfig
from safetensors.torch import load_file, save_file
from torch import Tensor

from recommender import ConfigError, RecommenderError
from recommender.imports.importing import import_adapter
from tests.unit.recommender.imports.conftest import Owner, make_base, own_model

BOTH = ["embed_tokens", "lm_head"]
A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
EMBED, HEAD = "base_model.model.model.embed_tokens.weight", "base_model.model.lm_head.weight"
Tensors = dict[str, Tensor]


def refused(base: Path, adapter: Path, message: str) -> None:
    before = sorted(adapter.parent.iterdir())
    with pytest.raises(RecommenderError, match=message) as error:
        import_adapter(base, adapter, adapter.parent / "out")
    assert "\n" not in str(error.value)
    assert sorted(adapter.parent.iterdir()) == before


def spoil(folder: Path, change: Callable[[Tensors], Any]) -> None:
    file = folder / "adapter_model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    change(tensors)
    save_file(tensors, file)


def set_option(folder: Path, **options: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | options))


class Runs:
    """A pickle that would run a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (LoraConfig(r=2, target_modules=["q_proj"], use_dora=True), "DoRA: it scales every row"),
        (LoraConfig(r=2, target_modules=["q_proj"], bias="lora_only"), "trained biases"),
        (AdaLoraConfig(target_modules=["q_proj"], total_step=5), "AdaLoRA: it keeps singular values"),
        (IA3Config(target_modules=["q_proj"], feedforward_modules=[]), "IA3: it multiplies activations"),
        (PromptTuningConfig(num_virtual_tokens=3), "prompt tuning: it learns tokens in front"),
        (
            LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["norm"]),
            "modules_to_save trains norm: Lethe edits LoRA and rows",
        ),
    ],
    ids=["dora", "bias", "adalora", "ia3", "prompt", "norm"],
)
def test_another_kind_is_refused_with_the_reason(tmp_path: Path, config: PeftConfig, reason: str) -> None:
    base = make_base(tmp_path / "theirs")
    config.task_type = "CAUSAL_LM"
    PeftModel(own_model(base), config).save_pretrained(tmp_path / "adapter")
    refused(base, tmp_path / "adapter", reason)


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    base, tuned = make_base(tmp_path / "theirs"), make_base(tmp_path / "tuned", seed=4)
    refused(base, tuned, "it is a whole model.* a full fine-tune has none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(A), f"lacks 1 tensors, first {A}"),
        (lambda t: t[A].fill_(float("nan")), "q_proj.lora_A.weight holds values that are not finite"),
        (lambda t: t[EMBED].fill_(float("inf")), "embed_tokens.weight holds values that are not finite"),
        (lambda t: t.pop(HEAD), "lacks the output layer, which modules_to_save says"),
        (
            lambda t: t.update({EMBED: t[EMBED][:-2].clone()}),
            "another base: its embedding layer has 22 tokens",
        ),
        (lambda t: t.update({EMBED: t[EMBED][:, :8].clone()}), r"another base: .*shape \(24, 8\)"),
        (lambda t: t.update({EMBED: torch.randn(24, 16)}), "as unlike this base's as an unrelated one"),
        (lambda t: t.update({"other.weight": torch.ones(1)}), "not a name that PEFT gives"),
        (lambda t: t.update({"base_model.model.b": torch.ones(1)}), "holds b, which this base has not"),
        (
            lambda t: t.update({"base_model.model.model.norm.weight": torch.full((16,), 2.0)}),
            "changed model.norm.weight, which is neither LoRA",
        ),
        (lambda t: [t.pop(name) for name in list(t) if "lora" in name], "holds no LoRA tensors"),
        (lambda t: t.clear(), r"holds no tensors \(\d+ bytes\).*look for a folder checkpoint-\*"),
    ],
)
def test_a_spoilt_folder_says_what_is_wrong(
    owner: Callable[..., Owner], change: Callable[[Tensors], Any], message: str
) -> None:
    theirs = owner(modules_to_save=BOTH)
    spoil(theirs.adapter, change)
    refused(theirs.base, theirs.adapter, message)


@pytest.mark.parametrize("grow", [False, True])
def test_a_base_of_another_shape_or_other_weights_is_refused(
    owner: Callable[..., Owner], tmp_path: Path, grow: bool
) -> None:
    theirs = owner(modules_to_save=BOTH, grow=grow)
    other = make_base(tmp_path / "other", seed=9)
    refused(
        other,
        theirs.adapter,
        "another base: (24 of 24 rows of its original|its embedding layer is as unlike)",
    )


def test_added_rows_that_nobody_saved_are_missed(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs = owner(modules_to_save=BOTH, grow=True)
    spoil(theirs.adapter, lambda t: [t.pop(name) for name in list(t) if "lm_head" in name])
    set_option(theirs.adapter, modules_to_save=["embed_tokens"])
    refused(
        theirs.base, theirs.adapter, "does not hold the output layer's added rows.*bring the base as it was"
    )


def test_a_trained_token_beyond_the_base_is_refused(owner: Callable[..., Owner]) -> None:
    theirs = owner(trainable_token_indices=[5, 7])
    set_option(theirs.adapter, trainable_token_indices=[5, 24])
    refused(theirs.base, theirs.adapter, "has trained token 24, and base and folder hold 24")
    set_option(theirs.adapter, trainable_token_indices=[5])
    refused(theirs.base, theirs.adapter, "do not fit together")


def test_originals_that_are_not_in_the_folder_leave_a_mean_row(
    owner: Callable[..., Owner], tmp_path: Path
) -> None:
    theirs = owner(modules_to_save=BOTH, grow=True)
    spoil(theirs.adapter, lambda t: [t.pop(name) for name in list(t) if "original" in name])
    report = import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    assert sum("in the base they are the mean row" in line for line in report.lines()) == 2


def test_layers_that_were_trained_without_being_named_are_parts(
    owner: Callable[..., Owner], tmp_path: Path
) -> None:
    theirs = owner(modules_to_save=BOTH)
    set_option(theirs.adapter, modules_to_save=None)
    report = import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    assert [entry.verdict for entry in report.entries] == ["kept", "note", "note", "part", "part", "kept"]


# ------------------------------------------------------------------------------------------------ pickles


def pickle_of(folder: Path, content: Any) -> None:
    (folder / "adapter_model.safetensors").unlink()
    torch.save(content, folder / "adapter_model.bin")  # noqa: TID251  # as scripts did


def test_an_empty_adapter_names_the_checkpoint(owner: Callable[..., Owner]) -> None:
    theirs = owner()
    pickle_of(theirs.adapter, {})
    (theirs.adapter / "checkpoint-200").mkdir()
    refused(theirs.base, theirs.adapter, r"holds no tensors \(\d+ bytes\).*it is in checkpoint-200 beside it")


def test_a_pickle_with_code_is_not_run(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs = owner()
    pickle_of(theirs.adapter, {"weight": Runs(tmp_path / "ran")})
    refused(theirs.base, theirs.adapter, "holds more than tensors")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1], {"a": 3}, torch.ones(2)])
def test_a_pickle_of_something_else_is_refused(owner: Callable[..., Owner], content: Any) -> None:
    theirs = owner()
    pickle_of(theirs.adapter, content)
    refused(theirs.base, theirs.adapter, "is not a mapping of names to tensors")


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"no pickle at all"])
def test_a_broken_pickle_is_refused(owner: Callable[..., Owner], content: bytes) -> None:
    theirs = owner()
    pickle_of(theirs.adapter, {})
    (theirs.adapter / "adapter_model.bin").write_bytes(content)
    refused(theirs.base, theirs.adapter, "cannot be read|holds more than tensors")


# ------------------------------------------------------------------------------------------------ folders


def test_a_folder_that_is_there_is_left_alone(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs = owner()
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_base_that_is_none_is_refused(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs = owner()
    refused(tmp_path / "nowhere", theirs.adapter, r"has no config\.json")
    (theirs.base / "model.safetensors").write_bytes(b"no weights")
    refused(theirs.base, theirs.adapter, "not a causal language model we can read")


def test_a_place_that_cannot_be_written_is_refused(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs = owner()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        import_adapter(theirs.base, theirs.adapter, tmp_path / "file" / "out")


def test_what_lies_beside_the_weights_comes_along(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs = owner(grow=True)
    (theirs.base / "tokenizer.json").write_text('"before"')
    (theirs.base / "LICENSE").write_text("free")
    (theirs.base / "catalogue.json").unlink()
    (theirs.adapter / "tokenizer.json").write_text('"grown"')
    (theirs.adapter / "training.json").write_text('{"epochs": 2}')
    report = import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out" / "base").iterdir()}
    assert {"config.json", "model.safetensors", "LICENSE", "tokenizer.json"} <= names
    assert (tmp_path / "out" / "base" / "tokenizer.json").read_text() == '"grown"'
    assert (tmp_path / "out" / "adapter" / "training.json").read_text() == '{"epochs": 2}'
    assert report.lines()[-2:] == [
        "tokenizer: from the adapter's folder: tokenizer.json",
        "base: it has no catalogue.json and no style.json: add before lethe init",
    ]
