"""Each way in which PEFT saves a folder: the model is after the import what its owner loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recommender import base_digest
from recommender.imports.importing import import_adapter
from recommender.operators_adapter import adopted, refittable
from recommender.trained_rows import TrainedRows
from tests.unit.recommender.imports.conftest import GROWN, ITEMS, Owner, brought, imported_logits

BOTH = ["embed_tokens", "lm_head"]
SIZE = 2 + ITEMS
# name, options, and which tensors become parts: e the embedding's rows, h the head's, t the embedding's, tied.
# Rows that were added to a layer which is saved whole count as trained.
KINDS: list[tuple[str, dict[str, Any], str]] = [
    ("lora", {}, ""),
    ("lora-head", {"target_modules": ["q_proj", "lm_head"]}, ""),
    ("grown", {"grow": True}, "eh"),
    ("saved", {"modules_to_save": BOTH}, "eh"),
    ("saved-grown", {"modules_to_save": BOTH, "grow": True}, "eh"),
    ("saved-embedding", {"modules_to_save": ["embed_tokens"]}, "e"),
    ("saved-embedding-grown", {"modules_to_save": ["embed_tokens"], "grow": True}, "eh"),
    ("saved-head", {"modules_to_save": ["lm_head"]}, "h"),
    ("saved-head-grown", {"modules_to_save": ["lm_head"], "grow": True}, "eh"),
    ("tied", {"tied": True}, ""),
    ("tied-grown", {"tied": True, "grow": True}, "eh"),
    ("tied-saved", {"tied": True, "modules_to_save": BOTH}, "eh"),
    ("tied-saved-grown", {"tied": True, "modules_to_save": BOTH, "grow": True}, "eh"),
    ("tied-saved-embedding", {"tied": True, "modules_to_save": ["embed_tokens"]}, "e"),
    ("tied-saved-embedding-grown", {"tied": True, "modules_to_save": ["embed_tokens"], "grow": True}, "e"),
    ("tied-saved-head-grown", {"tied": True, "modules_to_save": ["lm_head"], "grow": True}, "eh"),
    (
        "tied-saved-as-one",
        {"tied": True, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        "t",
    ),
    ("tokens", {"trainable_token_indices": [20, 5, 7]}, "e"),
    ("tokens-grown", {"trainable_token_indices": [25, 5], "grow": True}, "eh"),
    ("tokens-both", {"trainable_token_indices": {"embed_tokens": [5], "lm_head": [9, 4]}}, "eh"),
    ("tokens-tied", {"tied": True, "trainable_token_indices": [5, 7]}, "t"),
    ("tokens-tied-grown", {"tied": True, "trainable_token_indices": [25, 5], "grow": True}, "t"),
    (
        "tokens-tied-apart",
        {"tied": True, "trainable_token_indices": {"embed_tokens": [5], "lm_head": [9, 4]}},
        "eh",
    ),
    ("lora-embedding", {"target_modules": ["q_proj", "embed_tokens"]}, ""),
    ("lora-embedding-tied", {"tied": True, "target_modules": ["q_proj", "embed_tokens"]}, ""),
    (
        "lora-embedding-tied-grown",
        {"tied": True, "grow": True, "target_modules": ["q_proj", "embed_tokens"]},
        "",
    ),
    ("tokens-beside-lora-head", {"target_modules": ["lm_head"], "trainable_token_indices": [5]}, "e"),
    ("patterns", {"rank_pattern": {"v_proj": 3}, "alpha_pattern": {"q_proj": 7}}, ""),
    ("rank-stabilised", {"use_rslora": True, "modules_to_save": BOTH}, "eh"),
]
each_kind = pytest.mark.parametrize(
    ("options", "parts"), [pytest.param(options, parts, id=name) for name, options, parts in KINDS]
)


@each_kind
def test_the_model_is_what_its_owner_loads(
    owner: Callable[..., Owner], tmp_path: Path, options: dict[str, Any], parts: str
) -> None:
    theirs = owner(**options)
    report = import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    torch.testing.assert_close(imported_logits(tmp_path / "out"), theirs.logits, atol=1e-5, rtol=0)
    base, adapter = brought(tmp_path / "out")
    rows = adapter.rows
    assert (bool(rows.embed), bool(rows.head), rows.tied) == (
        "e" in parts or "t" in parts,
        "h" in parts,
        "t" in parts,
    )
    assert all(".lora_" in name or name in rows.counts for name in adapter.tensors)
    assert refittable(base, adopted(base, adapter)).rows == rows
    changed = options.get("grow", False)
    assert (base.digest == base_digest(theirs.base)) == (not changed)
    assert len(base.model.get_input_embeddings().weight) == (GROWN if changed else SIZE)
    assert report.base_digest == base.digest
    assert json.loads((tmp_path / "out" / "import.json").read_text()) == report.to_plain()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "out", "theirs"]


def test_rows_of_tokens_that_were_never_seen_are_no_parts(
    owner: Callable[..., Owner], tmp_path: Path
) -> None:
    theirs = owner(modules_to_save=["embed_tokens"])
    import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    assert brought(tmp_path / "out")[1].rows == TrainedRows(embed=((4, SIZE),))


@pytest.mark.parametrize("options", [{}, {"modules_to_save": BOTH, "grow": True}], ids=["lora", "saved"])
def test_a_pickle_is_written_as_safetensors(
    owner: Callable[..., Owner], tmp_path: Path, options: dict[str, Any]
) -> None:
    theirs = owner(**options)
    file = theirs.adapter / "adapter_model.safetensors"
    torch.save(load_file(file), theirs.adapter / "adapter_model.bin")  # noqa: TID251  # as scripts did
    file.unlink()
    report = import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    torch.testing.assert_close(imported_logits(tmp_path / "out"), theirs.logits, atol=1e-5, rtol=0)
    assert "from a pickle, written as safetensors" in report.lines()[0]


def test_what_is_said_of_each_group(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs = owner(modules_to_save=BOTH, grow=True)
    report = import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    assert [(entry.group, entry.verdict) for entry in report.entries] == [
        ("LoRA", "kept"),
        ("embedding layer", "dropped"),
        ("output layer", "dropped"),
        ("base", "base"),
        ("embedding layer", "part"),
        ("output layer", "part"),
        ("base", "base"),
    ]
    assert "grew from 24 to 30 tokens" in report.lines()[3]
    assert report.lines()[5].endswith("rows were trained: made a part of the adapter (head_rows)")


def test_added_rows_go_into_the_base_only_if_the_operator_says_that_they_were_not_trained(
    owner: Callable[..., Owner], tmp_path: Path
) -> None:
    theirs = owner(grow=True)
    report = import_adapter(theirs.base, theirs.adapter, tmp_path / "asked")
    assert any("--added-rows-untrained" in line for line in report.lines())
    assert brought(tmp_path / "asked")[1].rows.embed == ((SIZE, GROWN),)
    import_adapter(theirs.base, theirs.adapter, tmp_path / "said", added_untrained=True)
    assert not brought(tmp_path / "said")[1].rows.embed
    torch.testing.assert_close(imported_logits(tmp_path / "said"), theirs.logits, atol=1e-5, rtol=0)
