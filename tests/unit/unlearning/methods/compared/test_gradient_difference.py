import pytest

from tests.unit.unlearning.methods.whole_sets import (
    WHOLE,
    difference,
    first_loss,
    forget_batch,
    nll,
    retain_batch,
)
from unlearning import ForgetTask
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.gradient_ascent import GradientAscent, GradientAscentConfig
from unlearning.methods.compared.gradient_difference import GradientDifference, GradientDifferenceConfig


def test_its_loss_is_the_difference_of_weighed_nlls(task: ForgetTask) -> None:
    config = GradientDifferenceConfig(steps=1, batch_size=WHOLE, forget_weight=0.5, retain_weight=2.0)
    forget, retain = (nll(task, task.adapter, batch) for batch in (forget_batch(task), retain_batch(task)))
    found = first_loss(GradientDifference(config), task)
    assert found == pytest.approx(2.0 * retain - 0.5 * forget, rel=1e-5)


def test_the_divergence_holds_the_parent_and_starts_at_0(task: ForgetTask) -> None:
    config = GradientDifferenceConfig(steps=1, batch_size=WHOLE, retain="divergence")
    found = first_loss(GradientDifference(config), task)
    assert found == pytest.approx(-nll(task, task.adapter, forget_batch(task)), rel=1e-5)


def test_it_lowers_its_own_objective(task: ForgetTask) -> None:
    edited = GradientDifference(GradientDifferenceConfig(steps=8, lr=2e-3)).run(task).adapter

    assert difference(task, edited) < difference(task, task.adapter) - 0.05


def test_without_a_retain_weight_it_is_gradient_ascent(task: ForgetTask) -> None:
    difference = GradientDifference(GradientDifferenceConfig(steps=3, retain_weight=0.0)).run(task)
    ascent = GradientAscent(GradientAscentConfig(steps=3)).run(task)
    assert difference.adapter.to_bytes() == ascent.adapter.to_bytes()


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(InvalidMethodConfig, match="at least 0"):
        GradientDifferenceConfig(forget_weight=-1.0)
