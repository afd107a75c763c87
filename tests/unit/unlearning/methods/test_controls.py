import pytest
import torch

from recommender import Scorer, attach
from unlearning import ForgetTask
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.do_nothing import DoNothing
from unlearning.methods.uniform_shrink import UniformShrink, UniformShrinkConfig


def test_the_shrink_scales_every_b_and_nothing_else(task: ForgetTask) -> None:
    shrunk = UniformShrink(UniformShrinkConfig(factor=0.25)).run(task).adapter
    for name, tensor in task.adapter.tensors.items():
        assert torch.equal(shrunk.tensors[name], tensor * 0.25 if name.endswith("lora_B.weight") else tensor)


def test_shrinking_to_nothing_leaves_the_bare_base(task: ForgetTask) -> None:
    bare = UniformShrink(UniformShrinkConfig(factor=0.0)).run(task).adapter
    histories = task.forget[:1]
    found = Scorer(attach(task.base, bare), task.base.style).scores(histories)
    assert torch.equal(found, Scorer(task.base.model, task.base.style).scores(histories))


@pytest.mark.parametrize("factor", [-0.1, 1.1, float("nan")])
def test_a_factor_outside_the_unit_interval_is_refused(factor: float) -> None:
    with pytest.raises(InvalidMethodConfig, match="factor must lie"):
        UniformShrinkConfig(factor=factor)


def test_doing_nothing_returns_the_parent(task: ForgetTask) -> None:
    assert DoNothing().run(task).adapter is task.adapter
