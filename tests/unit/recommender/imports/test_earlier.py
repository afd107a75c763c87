"""An adapter that was trained on an earlier one: re-fits and controls start from a base that holds that one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from recommender import AdapterConfig, AdapterMismatch
from recommender.imports.importing import import_adapter
from recommender.operators_adapter import refittable
from tests.unit.recommender.imports.conftest import (
    brought,
    imported_logits,
    logits,
    make_base,
    own_model,
    train,
    tune,
)

BOTH = ["embed_tokens", "lm_head"]


def earlier_adapter(
    tmp_path: Path, base: Path, *, grow: bool = False, **options: Any
) -> tuple[PeftModel, Tensor]:
    tuned = tune(own_model(base, grow=grow), tmp_path / "earlier", **options)
    return tuned, logits(tuned)


def base_logits(out: Path) -> Tensor:
    return logits(brought(out)[0].model)


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"rank_pattern": {"v_proj": 3}}])
def test_an_adapter_that_went_on_from_it_is_the_difference(tmp_path: Path, options: dict[str, Any]) -> None:
    base = make_base(tmp_path / "theirs")
    tuned, before = earlier_adapter(tmp_path, base, **options)
    train(tuned, steps=3)
    tuned.save_pretrained(tmp_path / "adapter")
    report = import_adapter(base, tmp_path / "adapter", tmp_path / "out", before=tmp_path / "earlier")
    close(imported_logits(tmp_path / "out"), logits(tuned.eval()))
    close(base_logits(tmp_path / "out"), before)
    new_base, adapter = brought(tmp_path / "out")
    assert AdapterConfig.of(adapter).r == 4
    refittable(new_base, adapter)
    assert any("goes on from the earlier adapter" in line for line in report.lines())
    assert any("added in float32 to 4 weights of the base: re-fits" in line for line in report.lines())


@pytest.mark.parametrize(
    "options", [{}, {"modules_to_save": BOTH}, {"target_modules": ["q_proj", "lm_head"]}]
)
def test_an_adapter_that_was_trained_on_it_merged_stays_as_it_is(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    base = make_base(tmp_path / "theirs")
    earlier, before = earlier_adapter(tmp_path, base)
    merged: PreTrainedModel = earlier.merge_and_unload()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        tuned = tune(merged, tmp_path / "adapter", **{"r": 3, **options})
    report = import_adapter(base, tmp_path / "adapter", tmp_path / "out", before=tmp_path / "earlier")
    close(imported_logits(tmp_path / "out"), logits(tuned))
    close(base_logits(tmp_path / "out"), before)
    assert AdapterConfig.of(brought(tmp_path / "out")[1]).r == 3
    assert not any("goes on" in line for line in report.lines())


def test_an_earlier_adapter_with_trained_rows_is_merged_with_them(tmp_path: Path) -> None:
    base = make_base(tmp_path / "theirs")
    earlier, before = earlier_adapter(tmp_path, base, grow=True, modules_to_save=BOTH)
    merged: PreTrainedModel = earlier.merge_and_unload()
    tuned = tune(merged, tmp_path / "adapter", r=3)
    import_adapter(base, tmp_path / "adapter", tmp_path / "out", before=tmp_path / "earlier")
    close(imported_logits(tmp_path / "out"), logits(tuned))
    close(base_logits(tmp_path / "out"), before)


def test_a_half_precision_base_is_said_to_be_rounded(tmp_path: Path) -> None:
    base = make_base(tmp_path / "theirs", dtype=torch.bfloat16)
    tune(own_model(base).float(), tmp_path / "earlier")
    tune(own_model(base).float(), tmp_path / "adapter", r=3)
    report = import_adapter(base, tmp_path / "adapter", tmp_path / "out", before=tmp_path / "earlier")
    assert any("and rounded to bfloat16" in line for line in report.lines())
    assert brought(tmp_path / "out")[0].model.dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{"target_modules": ["embed_tokens"]}, {"modules_to_save": ["lm_head"]}])
def test_what_a_tied_base_would_do_to_both_layers_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    base = make_base(tmp_path / "theirs", tied=True)
    earlier_adapter(tmp_path, base, **options)
    tune(own_model(base), tmp_path / "adapter", r=3)
    with pytest.raises(AdapterMismatch, match="the base ties them"):
        import_adapter(base, tmp_path / "adapter", tmp_path / "out", before=tmp_path / "earlier")
    assert not (tmp_path / "out").exists()


def test_a_scale_that_changed_on_the_way_is_refused(tmp_path: Path) -> None:
    base = make_base(tmp_path / "theirs")
    tuned, _ = earlier_adapter(tmp_path, base)
    tuned.peft_config["default"].lora_alpha = 8
    tuned.save_pretrained(tmp_path / "adapter")
    with pytest.raises(AdapterMismatch, match=r"scales are not its own \(lora_alpha\)"):
        import_adapter(base, tmp_path / "adapter", tmp_path / "out", before=tmp_path / "earlier")
