import math

import pytest
import torch

from recommender import Interrupted
from recommender.choices import Batch
from tests.unit.unlearning.methods.free_logits import asking_for, free_logits
from unlearning import ForgetTask
from unlearning.methods.compared.gradient_ascent import GradientAscentConfig
from unlearning.methods.shared.curvature import Curvature, CurvatureProduct, flat, shaped_like
from unlearning.methods.shared.descent import ChoiceModel, retain_windows

KINDS: tuple[CurvatureProduct, ...] = ("double_backward", "finite_difference", "gauss_newton")


def curvature(task: ForgetTask, kind: CurvatureProduct) -> tuple[Curvature, ChoiceModel, list[Batch]]:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    batches = retain_windows(task, GradientAscentConfig()).sample(16)
    return Curvature(model, kind, difference_step=3e-2), model, batches


def direction(model: ChoiceModel, seed: int) -> torch.Tensor:
    size = sum(parameter.numel() for parameter in model.parameters.values())
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("kind", "forwards", "backwards"),
    [("double_backward", 2, 4), ("finite_difference", 4, 4), ("gauss_newton", 2, 6)],
)
def test_of_free_logits_the_curvature_is_known(kind: CurvatureProduct, forwards: int, backwards: int) -> None:
    # p = (1/4, 3/4), whatever is asked for: diag(p) - p p' has 3/16 on the diagonal and -3/16 beside it.
    model = free_logits(0.0, math.log(3))
    product = Curvature(model, kind, difference_step=1e-2).times(
        torch.tensor([1.0, 0.0], dtype=torch.float64), [asking_for(0, 1), asking_for(1)]
    )
    torch.testing.assert_close(
        product, torch.tensor([3 / 16, -3 / 16], dtype=torch.float64), rtol=0, atol=1e-4
    )
    assert (model.forwards, model.backwards) == (forwards, backwards)


def test_double_backward_agrees_with_differences_of_gradients(task: ForgetTask) -> None:
    exact, model, batches = curvature(task, "double_backward")
    rough, other, _ = curvature(task, "finite_difference")
    vector = direction(model, 1)
    one, two = exact.times(vector, batches), rough.times(vector, batches)
    assert float((one - two).norm() / one.norm()) < 0.02
    # The steps to and fro end exactly where they began.
    assert all(torch.equal(value, other.parameters[name]) for name, value in model.parameters.items())


@pytest.mark.parametrize("kind", ["double_backward", "gauss_newton"])
def test_the_curvature_is_symmetric(task: ForgetTask, kind: CurvatureProduct) -> None:
    product, model, batches = curvature(task, kind)
    one, two = direction(model, 1), direction(model, 2)
    left, right = one @ product.times(two, batches), two @ product.times(one, batches)
    torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-5)


def test_gauss_newton_is_nowhere_negative(task: ForgetTask) -> None:
    product, model, batches = curvature(task, "gauss_newton")
    for seed in range(5):
        vector = direction(model, seed)
        assert float(vector @ product.times(vector, batches)) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_stopped(task: ForgetTask, kind: CurvatureProduct) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    product = Curvature(model, kind, difference_step=1e-2, should_stop=lambda: True)
    with pytest.raises(Interrupted):
        product.times(direction(model, 0), retain_windows(task, GradientAscentConfig()).sample(1))
    assert all(torch.equal(value, task.adapter.tensors[name]) for name, value in model.parameters.items())


def test_a_flat_vector_finds_its_shapes_again() -> None:
    tensors = [torch.arange(6.0).view(2, 3), torch.tensor([7.0])]
    for one, other in zip(shaped_like(flat(tensors), tensors), tensors, strict=True):
        assert torch.equal(one, other)
