import math

import pytest
import torch

from tests.unit.unlearning.methods.whole_sets import nll, retain_batch
from unlearning import ForgetTask
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.retain_term import RetainedDescentConfig, RetainTerm, descend_held


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forget_weight": -0.1}, "at least 0"),
        ({"retain_weight": -0.1}, "at least 0"),
        ({"retain_weight": math.nan}, "at least 0"),
        ({"forget_weight": math.nan}, "at least 0"),
        ({"forget_weight": 0.0, "retain_weight": 0.0}, "not both 0"),
        ({"retain": "mse"}, "choose one of cross_entropy, divergence"),
        ({"lr": 0.0}, "lr"),
    ],
)
def test_weights_and_choices_are_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        RetainedDescentConfig(**change)  # type: ignore[arg-type]


def test_one_of_the_weights_may_be_0() -> None:
    assert RetainedDescentConfig(forget_weight=0.0).retain_weight == 1.0
    assert RetainedDescentConfig(retain_weight=0.0).forget_weight == 1.0


def test_cross_entropy_is_weighed_and_needs_no_parent(task: ForgetTask) -> None:
    term = RetainTerm(task, RetainedDescentConfig(retain_weight=3.0))
    batch = retain_batch(task)
    found = term(ChoiceModel(task.base, task.adapter, trainable=True), batch)
    assert found.item() == pytest.approx(3 * nll(task, task.adapter, batch), rel=1e-6)
    assert found.requires_grad
    assert term.references == ()


def test_the_divergence_is_from_the_parent_and_starts_at_0(task: ForgetTask) -> None:
    term = RetainTerm(task, RetainedDescentConfig(retain_weight=2.0, retain="divergence"))
    batch = retain_batch(task)
    at_parent = term(ChoiceModel(task.base, task.adapter, trainable=True), batch)
    assert at_parent.item() == pytest.approx(0.0, abs=1e-6)
    half = task.adapter.replace({name: tensor / 2 for name, tensor in task.adapter.tensors.items()})
    student, parent = ChoiceModel(task.base, half), ChoiceModel(task.base, task.adapter)
    expected = losses.divergence_from(parent.logits(batch), student.logits(batch), batch.targets)
    assert term(student, batch).item() == pytest.approx(2 * expected.item(), rel=1e-6)
    assert expected.item() > 1e-3
    (reference,) = term.references
    assert reference.forwards == 2 * batch.rows


def test_a_term_without_weight_asks_no_model(task: ForgetTask) -> None:
    term = RetainTerm(task, RetainedDescentConfig(retain_weight=0.0, retain="divergence"))
    student = ChoiceModel(task.base, task.adapter, trainable=True)
    assert term(student, retain_batch(task)).item() == 0.0
    assert term.references == ()
    assert student.forwards == 0


def test_the_retain_term_alone_lowers_the_retained_users_nll(task: ForgetTask) -> None:
    config = RetainedDescentConfig(steps=6, lr=3e-3, forget_weight=0.0)
    candidate = descend_held(
        task,
        config,
        lambda student, forget: torch.zeros(()),
        references=(ChoiceModel(task.base, task.adapter),),
    )
    batch = retain_batch(task)
    assert nll(task, candidate.adapter, batch) < nll(task, task.adapter, batch) - 0.01
    # Only the retained users' windows went through the model.
    assert candidate.cost.forwards == candidate.cost.backwards <= 6 * 16
