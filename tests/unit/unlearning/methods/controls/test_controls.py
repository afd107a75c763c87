from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Scorer, attach, fit_adapter
from unlearning import ForgetTask, build_method
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.controls.do_nothing import DoNothing
from unlearning.methods.controls.uniform_shrink import UniformShrink, UniformShrinkConfig


def test_the_shrink_scales_every_b_and_nothing_else(task: ForgetTask) -> None:
    shrunk = UniformShrink(UniformShrinkConfig(factor=0.25)).run(task).adapter
    for name, tensor in task.adapter.tensors.items():
        assert torch.equal(shrunk.tensors[name], tensor * 0.25 if name.endswith("lora_B.weight") else tensor)


def test_shrinking_to_nothing_leaves_the_bare_base(task: ForgetTask) -> None:
    bare = UniformShrink(UniformShrinkConfig(factor=0.0)).run(task).adapter
    histories = task.forget[:1]
    found = Scorer(attach(task.base, bare), task.base.style).scores(histories)
    assert torch.equal(found, Scorer(task.base.model, task.base.style).scores(histories))


@pytest.mark.parametrize(("name", "config"), [("uniform_shrink", {"factor": 0.0}), ("drop_adapter", {})])
def test_an_adapted_embedding_goes_too(task: ForgetTask, name: str, config: dict[str, Any]) -> None:
    modules = replace(task.adapter_config, target_modules=("embed_tokens", "q_proj"))
    adapted = fit_adapter(task.base, task.retain, modules, replace(task.training, epochs=1))
    bare = build_method(name, config).run(replace(task, adapter=adapted)).adapter
    found, before, expected = (
        Scorer(model, task.base.style).scores(task.forget[:1])
        for model in (attach(task.base, bare), attach(task.base, adapted), task.base.model)
    )
    assert torch.equal(found, expected)
    assert not torch.equal(before, expected)


@pytest.mark.parametrize("factor", [-0.1, 1.1, float("nan")])
def test_a_factor_outside_the_unit_interval_is_refused(factor: float) -> None:
    with pytest.raises(InvalidMethodConfig, match="factor must lie"):
        UniformShrinkConfig(factor=factor)


def test_doing_nothing_returns_the_parent(task: ForgetTask) -> None:
    assert DoNothing().run(task).adapter is task.adapter
