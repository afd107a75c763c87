"""A step of forgetting moves what an import has made a part of the adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recommender import AdapterConfig, TrainingConfig, fit_adapter
from recommender.imports.importing import import_adapter
from recommender.trained_rows import EMBED_ROWS, HEAD_ROWS
from tests.unit.recommender.imports.conftest import Owner, _pefts_own_warnings, brought, owner
from tests.unit.recommender.imports.test_importing import KINDS
from tests.unit.unlearning.methods.whole_sets import forget_batch, nll
from unlearning import ForgetTask, build_method

__all__ = ["_pefts_own_warnings", "owner"]

FORGET, RETAIN = ((3, 9, 14, 5, 20),), ((2, 7, 11, 4), (6, 1, 13, 8, 17))


@pytest.mark.parametrize(
    ("options", "parts"), [pytest.param(options, parts, id=name) for name, options, parts in KINDS if parts]
)
def test_a_step_of_descent_changes_the_rows(
    owner: Callable[..., Owner], tmp_path: Path, options: dict[str, Any], parts: str
) -> None:
    theirs = owner(**options)
    import_adapter(theirs.base, theirs.adapter, tmp_path / "out")
    base, adapter = brought(tmp_path / "out")
    config = AdapterConfig.of(adapter)
    training = TrainingConfig(epochs=1, batch_size=2, patience=None)
    task = ForgetTask(base, adapter, FORGET, RETAIN, (), None, training, config, seed=0)
    edited = build_method("gradient_difference", {"steps": 2, "lr": 1e-2}).run(task).adapter
    assert nll(task, edited, forget_batch(task)) > nll(task, adapter, forget_batch(task))
    refitted = fit_adapter(base, RETAIN, config, training)
    # Rows of tokens beyond the catalogue are never read, so a step leaves them as they are.
    spans = {EMBED_ROWS: adapter.rows.embed, HEAD_ROWS: adapter.rows.head}
    for name in adapter.rows.counts:
        read = any(first < base.style.vocab_size for first, _ in spans[name])
        assert torch.equal(edited.tensors[name], adapter.tensors[name]) == (not read)
        # The subject's tokens are there, and what the base holds of them does not change.
        assert refitted.tensors[name].shape == adapter.tensors[name].shape
    assert edited.rows == refitted.rows == adapter.rows
