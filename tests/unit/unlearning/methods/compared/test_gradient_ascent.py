import pytest

from tests.unit.unlearning.methods.whole_sets import WHOLE, first_loss, forget_batch, nll
from unlearning import ForgetTask
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.gradient_ascent import GradientAscent, GradientAscentConfig


def test_its_loss_is_the_subjects_nll_with_the_sign_turned(task: ForgetTask) -> None:
    found = first_loss(GradientAscent(GradientAscentConfig(steps=1, batch_size=WHOLE)), task)
    assert found == pytest.approx(-nll(task, task.adapter, forget_batch(task)), rel=1e-6)


def test_the_length_of_the_walk_is_the_method(task: ForgetTask) -> None:
    forget = forget_batch(task)
    reached = [
        nll(task, GradientAscent(GradientAscentConfig(steps=steps, lr=3e-3)).run(task).adapter, forget)
        for steps in (2, 8)
    ]
    assert nll(task, task.adapter, forget) < reached[0] < reached[1]


def test_no_step_is_no_walk() -> None:
    with pytest.raises(InvalidMethodConfig, match="steps"):
        GradientAscentConfig(steps=0)
