"""What the tests of methods and measures on every prompt style build: a small service of which somebody leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    Catalogue,
    Split,
    TrainingConfig,
    fit_adapter,
    load_base,
    save_base,
)
from recommender.styles import PromptStyle
from recommender.text_base import TextBaseConfig, build_text_base
from unlearning import ForgetTask, NeverSeen, build_method, cross_fit, why_not

ITEMS = 24
NAMES = tuple(f"t{item}" for item in range(ITEMS))
CATALOGUE = Catalogue(NAMES, NAMES)
ON_TWO_LAYERS = AdapterConfig(r=4, alpha=8, target_modules=("q_proj", "v_proj"))
_SHAPE = TextBaseConfig(layers=1, width=16, heads=2, feed_forward=32)


def text_base(
    folder: Path,
    style: PromptStyle,
    panel: Sequence[Sequence[int]],
    *,
    catalogue: Catalogue = CATALOGUE,
    training: TrainingConfig = TrainingConfig(epochs=1, patience=None),  # noqa: B008  (frozen)
) -> Base:
    save_base(build_text_base(style, panel, _SHAPE, training), catalogue, style, folder)
    return load_base(folder)


def first_leave(
    count: int,
    splits: Sequence[Split],
    base: Base,
    training: TrainingConfig,
    shape: AdapterConfig,
    **others: Any,
) -> ForgetTask:
    """Forget the first users of an adapter that was fitted on all; no cached statistics."""
    retained = splits[count:]
    return ForgetTask(
        base=base,
        adapter=fit_adapter(base, [split.train for split in splits], shape, training),
        forget=tuple(split.train for split in splits[:count]),
        retain=tuple(split.train for split in retained),
        retain_validation=tuple((split.train, split.validation) for split in retained),
        statistics=None,
        training=training,
        adapter_config=shape,
        **others,
    )


def same(one: Adapter, other: Adapter) -> bool:
    return all(torch.equal(one.tensors[name], tensor) for name, tensor in other.tensors.items())


def levels_of_everybody(
    task: ForgetTask, splits: Sequence[Split], *, epochs: int, smoothing: float, seed: int = 0
) -> tuple[NeverSeen, ...]:
    """Made by half fits of so many epochs."""
    return cross_fit(
        task.base,
        task.adapter,
        splits,
        adapter_config=task.adapter_config,
        training=replace(task.training, epochs=epochs),
        smoothing=smoothing,
        seed=seed,
    )


def assert_edits_the_adapter_or_says_beforehand_why_not(name: str, task: ForgetTask) -> None:
    """The method of this name, on a style without a token for each item."""
    method = build_method(name)
    reason = why_not(method, task.base, task.adapter)
    if name in ("least_change_output", "cure"):
        assert reason is not None
        assert f"{task.base.style.name} has no token for each item" in reason
        return
    assert reason is None
    found = method.run(task).adapter
    assert found.tensors.keys() == task.adapter.tensors.keys()
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found.tensors.values())
