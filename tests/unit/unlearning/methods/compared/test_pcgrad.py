import math

import pytest
import torch
from torch import Tensor

from tests.unit.unlearning.methods.whole_sets import (
    WHOLE,
    difference,
    distance,
    first_loss,
    forget_batch,
    nll,
    retain_batch,
)
from unlearning import ForgetTask
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.cure.cure import Cure, without_conflict
from unlearning.methods.compared.gradient_difference import GradientDifference, GradientDifferenceConfig
from unlearning.methods.compared.pcgrad import PcGrad, PcGradConfig, ProjectionScope, reconciled


def vectors(*rows: list[float]) -> list[Tensor]:
    return [torch.tensor(row) for row in rows]


def test_conflicting_gradients_are_projected_against_each_others_originals() -> None:
    # (1, 0) and (-1, 1): product -1. The first loses -1/2 (-1, 1) and is (1/2, 1/2); the second loses
    # -1/1 (1, 0) and is (0, 1). Each is at a right angle to the other's original.
    (total,) = reconciled(vectors([1.0, 0.0]), vectors([-1.0, 1.0]), "whole")
    assert total.tolist() == [0.5, 1.5]
    (total,) = reconciled(vectors([-1.0, 1.0]), vectors([1.0, 0.0]), "whole")
    assert total.tolist() == [0.5, 1.5]


def test_a_longer_gradient_keeps_its_length() -> None:
    # (4, 0) and (-1, 1): product -4. (4, 0) + 4/2 (-1, 1) = (2, 2) and (-1, 1) + 4/16 (4, 0) = (0, 1).
    (total,) = reconciled(vectors([4.0, 0.0]), vectors([-1.0, 1.0]), "whole")
    assert total.tolist() == [2.0, 3.0]


def test_opposite_gradients_cancel() -> None:
    (total,) = reconciled(vectors([3.0, -6.0]), vectors([-1.0, 2.0]), "whole")
    assert total.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("other", [[2.0, 1.0], [0.0, 5.0], [0.0, 0.0]], ids=["acute", "right", "zero"])
@pytest.mark.parametrize("scope", ["whole", "tensor"])
def test_without_a_conflict_they_are_added(other: list[float], scope: ProjectionScope) -> None:
    (total,) = reconciled(vectors([1.0, 0.0]), vectors(other), scope)
    assert total.tolist() == [1.0 + other[0], other[1]]


def test_whole_and_tensor_see_different_conflicts() -> None:
    # The first tensors oppose each other (product -2), the second agree (3): as a whole there is no conflict.
    first = [torch.tensor([[1.0, 0.0]]), torch.tensor([3.0])]
    second = [torch.tensor([[-2.0, 1.0]]), torch.tensor([1.0])]
    whole = reconciled(first, second, "whole")
    assert [part.tolist() for part in whole] == [[[-1.0, 1.0]], [4.0]]
    # (1, 0) + 2/5 (-2, 1) = (0.2, 0.4); (-2, 1) + 2/1 (1, 0) = (0, 1).
    apart = reconciled(first, second, "tensor")
    assert apart[0].flatten().tolist() == pytest.approx([0.2, 1.4])
    assert apart[0].shape == (1, 2)
    assert apart[1].tolist() == [4.0]


def test_a_gradient_that_is_only_rounding_is_not_projected_on() -> None:
    first, noise = [torch.tensor([1.0, 2.0])], [torch.tensor([-1e-8, 0.0])]
    assert torch.equal(reconciled(first, noise, "whole")[0], first[0])


@pytest.mark.parametrize("symmetric", [True, False], ids=["pcgrad", "cure"])
def test_adam_can_climb_what_the_projection_spared_and_the_docstring_says_so(symmetric: bool) -> None:
    forget, retain = torch.tensor([3.0, -3.0, -3.0]), torch.tensor([1.0, 1.0, 1.0])
    if symmetric:
        (total,) = reconciled([forget], [retain], "whole")
    else:
        total = without_conflict([forget], [retain])[0] + retain
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = total
    torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.0).step()
    # To first order: along the gradient the retain loss falls, along Adam's step it rises.
    assert float(total @ retain) > 0
    assert float(parameter.detach() @ retain) > 0
    assert "Adam" in ((PcGrad if symmetric else Cure).__doc__ or "")


def test_its_loss_is_gradient_differences(task: ForgetTask) -> None:
    config = PcGradConfig(steps=1, batch_size=WHOLE, forget_weight=0.5, retain_weight=2.0)
    forget, retain = (nll(task, task.adapter, batch) for batch in (forget_batch(task), retain_batch(task)))
    assert first_loss(PcGrad(config), task) == pytest.approx(2.0 * retain - 0.5 * forget, rel=1e-5)


def test_beside_the_flat_start_of_the_divergence_it_is_gradient_difference(task: ForgetTask) -> None:
    # At the parent the divergence has no gradient but rounding, so there is nothing to reconcile.
    settings = {"steps": 1, "retain": "divergence"}
    mine = PcGrad(PcGradConfig(**settings)).run(task).adapter  # type: ignore[arg-type]
    theirs = GradientDifference(GradientDifferenceConfig(**settings)).run(task).adapter  # type: ignore[arg-type]
    assert distance(mine, theirs) < 0.01 * distance(theirs, task.adapter)


@pytest.mark.parametrize("scope", ["whole", "tensor"])
def test_it_lowers_its_own_objective(task: ForgetTask, scope: ProjectionScope) -> None:
    edited = PcGrad(PcGradConfig(steps=8, lr=2e-3, scope=scope)).run(task).adapter
    assert difference(task, edited) < difference(task, task.adapter) - 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forget_weight": 0.0}, "both be positive"),
        ({"retain_weight": 0.0}, "both be positive"),
        ({"retain_weight": math.nan}, "at least 0"),
        ({"scope": "layer"}, "choose one of whole, tensor"),
    ],
)
def test_the_configuration_is_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        PcGradConfig(**change)  # type: ignore[arg-type]
