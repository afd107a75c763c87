import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recommender import Interrupted, ItemTokenStyle, Scorer
from recommender.choices import IGNORED, Batch
from unlearning import ForgetTask, Progress
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import (
    ChoiceModel,
    DescentConfig,
    Gradient,
    descend,
    forget_windows,
    of_loss,
    retain_windows,
)

LR = 1e-3


@pytest.fixture
def batch(task: ForgetTask) -> Batch:
    """All windows of the subjects."""
    (batch,) = forget_windows(task, DescentConfig(batch_size=100)).once()
    return batch


def constant(value: float) -> Gradient:
    """The same gradient for every number of the adapter, whatever the batches."""

    def gradient(student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        for parameter in student.parameters.values():
            parameter.grad = torch.full_like(parameter, value)
        return value

    return gradient


def forget_nll(student: ChoiceModel, forget: Batch, retain: Batch) -> Tensor:
    return losses.cross_entropy(student.logits(forget), forget.targets)


# ------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"batch_size": 0}, {"lr": 0.0}, {"lr": math.nan}, {"max_grad_norm": -1.0}]
)
def test_a_walk_that_goes_nowhere_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InvalidMethodConfig, match=next(iter(change))):
        DescentConfig(**change)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------- the choice model


def test_logits_are_those_that_training_and_scoring_see(task: ForgetTask, batch: Batch) -> None:
    model = ChoiceModel(task.base, task.adapter)
    logits = model.logits(batch)
    assert logits.shape == (*batch.tokens.shape, task.base.style.catalogue_size)
    # The same formula without the seam: whole logits, restricted to the item tokens.
    assert isinstance(task.base.style, ItemTokenStyle)
    whole = model.model(input_ids=batch.tokens, use_cache=False).logits[..., task.base.style.item_rows]
    assert torch.equal(logits, whole)
    history = task.forget[0][-5:]
    tokens = torch.tensor([task.base.style.encode(history)])
    found = model.logits(Batch(tokens, torch.zeros_like(tokens), batch.asked))[0, -1]
    scored = Scorer(model.model, task.base.style).item_log_probs([history])[0]
    torch.testing.assert_close(found.log_softmax(-1), scored, check_dtype=False)


def test_padding_does_not_reach_real_positions(task: ForgetTask, batch: Batch) -> None:
    model = ChoiceModel(task.base, task.adapter)
    style = task.base.style
    alone = torch.tensor([style.encode([3, 4])])
    padded = torch.tensor(
        [[*style.encode([3, 4]), style.pad_token, style.pad_token], style.encode([1, 2, 5, 6])]
    )
    torch.testing.assert_close(
        model.logits(Batch(padded, padded, batch.asked))[:1, :3],
        model.logits(Batch(alone, alone, batch.asked)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_only_a_trainable_model_is_differentiated(task: ForgetTask, batch: Batch) -> None:
    student, reference = (
        ChoiceModel(task.base, task.adapter, trainable=True),
        ChoiceModel(task.base, task.adapter),
    )
    assert student.logits(batch).requires_grad
    assert not reference.logits(batch).requires_grad
    with torch.no_grad():
        assert not student.logits(batch).requires_grad
    assert (student.forwards, student.backwards) == (2 * batch.rows, batch.rows)
    assert (reference.forwards, reference.backwards) == (batch.rows, 0)
    trained = {id(parameter) for parameter in student.model.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for parameter in student.parameters.values()}


def test_a_reference_shares_the_base_and_owns_its_adapter(task: ForgetTask) -> None:
    one, other = ChoiceModel(task.base, task.adapter, trainable=True), ChoiceModel(task.base, task.adapter)
    shared = {parameter.data_ptr() for parameter in task.base.model.parameters()}
    for model in (one, other):
        held = {parameter.data_ptr() for parameter in model.model.parameters()}
        assert len(held - shared) == len(task.adapter.tensors)
    before = other.adapter().to_bytes()
    with torch.no_grad():
        for parameter in one.parameters.values():
            parameter.add_(1.0)
    assert other.adapter().to_bytes() == before == task.adapter.to_bytes()


def test_an_adapter_taken_out_stays_as_it_was(task: ForgetTask) -> None:
    model = ChoiceModel(task.base, task.adapter)
    taken = model.adapter()
    with torch.no_grad():
        for parameter in model.parameters.values():
            parameter.zero_()
    assert taken.to_bytes() == task.adapter.to_bytes()
    assert taken.config == task.adapter.config


# ------------------------------------------------------------------------------------------- the descent


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_adamw_steps_by_the_learning_rate_against_a_constant_gradient(task: ForgetTask, value: float) -> None:
    # m / sqrt(v) is the gradient's sign as long as the gradient stays the same, so three steps are 3 lr.
    candidate = descend(task, DescentConfig(steps=3, lr=LR), constant(value))
    for name, tensor in task.adapter.tensors.items():
        torch.testing.assert_close(
            candidate.adapter.tensors[name], tensor - math.copysign(3 * LR, value), rtol=0, atol=1e-6
        )


def test_nothing_decays_where_there_is_no_gradient(task: ForgetTask) -> None:
    candidate = descend(task, DescentConfig(steps=3, lr=LR), constant(0.0))
    assert candidate.adapter.to_bytes() == task.adapter.to_bytes()


@pytest.mark.parametrize(("value", "norm"), [(1.0, 0.25), (1e-6, None)])
def test_a_gradient_is_clipped_only_where_it_is_too_long(
    task: ForgetTask, value: float, norm: float | None
) -> None:
    student = ChoiceModel(task.base, task.adapter, trainable=True)
    descend(task, DescentConfig(steps=1, max_grad_norm=0.25), constant(value), student=student)
    numbers = sum(parameter.numel() for parameter in student.parameters.values())
    found = math.sqrt(
        sum(float(p.grad.square().sum()) for p in student.parameters.values() if p.grad is not None)
    )
    assert found == pytest.approx(norm or value * math.sqrt(numbers), rel=1e-4)


def test_gradients_do_not_pile_up_over_steps(task: ForgetTask) -> None:
    seen: list[bool] = []

    def gradient(student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        seen.extend(parameter.grad is None for parameter in student.parameters.values())
        return constant(1.0)(student, forget, retain)

    descend(task, DescentConfig(steps=2), gradient)
    assert all(seen)


def test_each_step_sees_a_batch_of_either_kind(task: ForgetTask) -> None:
    marks = tuple(tuple(place == 1 for place in range(len(sequence))) for sequence in task.forget)
    marked = replace(task, forget_targets=marks)
    seen: list[tuple[Batch, Batch]] = []

    def gradient(student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        seen.append((forget, retain))
        return constant(0.0)(student, forget, retain)

    config = DescentConfig(steps=4, batch_size=2)
    descend(marked, config, gradient)
    expected = forget_windows(marked, config), retain_windows(marked, config)
    for forget, retain in seen:
        for batch, windows in zip((forget, retain), expected, strict=True):
            drawn = windows.draw()
            assert torch.equal(batch.tokens, drawn.tokens)
            assert torch.equal(batch.targets, drawn.targets)
    # Three windows are a batch of two and one of one: in each such pair every subject's second item, and no other.
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        found = [batch.targets[batch.targets != IGNORED] for batch, _ in (first, second)]
        assert sorted(torch.cat(found).tolist()) == sorted(sequence[1] for sequence in task.forget)


def test_the_two_kinds_are_drawn_with_different_seeds(task: ForgetTask) -> None:
    twins = replace(task, forget=task.retain)
    config = DescentConfig(batch_size=100)
    forget, retain = forget_windows(twins, config), retain_windows(twins, config)
    assert len(forget) == len(retain)
    assert not torch.equal(forget.draw().tokens, retain.draw().tokens)


def test_the_gradient_of_a_loss_is_its_derivative(task: ForgetTask, batch: Batch) -> None:
    student = ChoiceModel(task.base, task.adapter, trainable=True)
    shown = of_loss(forget_nll)(student, batch, batch)
    value = forget_nll(student, batch, batch)
    expected = torch.autograd.grad(value, list(student.parameters.values()))
    assert shown == value.item()
    for parameter, derivative in zip(student.parameters.values(), expected, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, derivative)


def test_a_walk_can_start_elsewhere_and_counts_what_references_did(task: ForgetTask, batch: Batch) -> None:
    half = task.adapter.replace({name: tensor / 2 for name, tensor in task.adapter.tensors.items()})
    reference = ChoiceModel(task.base, task.adapter)
    reference.logits(batch)
    student = ChoiceModel(task.base, half, trainable=True)
    candidate = descend(
        task, DescentConfig(steps=1, lr=LR), constant(1.0), references=(reference,), student=student
    )
    for name, tensor in half.tensors.items():
        torch.testing.assert_close(candidate.adapter.tensors[name], tensor - LR, rtol=0, atol=1e-6)
    assert (candidate.cost.forwards, candidate.cost.backwards, candidate.cost.samples) == (batch.rows, 0, 0)


def test_a_descent_lowers_its_loss_and_counts_its_passes(task: ForgetTask, batch: Batch) -> None:
    seen: list[Progress] = []
    candidate = descend(
        task, DescentConfig(steps=5, lr=1e-2, batch_size=100), of_loss(forget_nll), on_step=seen.append
    )
    assert [(step.stage, step.step, step.steps) for step in seen] == [("descent", n, 5) for n in range(1, 6)]
    shown = [step.loss for step in seen if step.loss is not None]
    assert len(shown) == 5
    assert shown == sorted(shown, reverse=True)
    assert candidate.cost.forwards == candidate.cost.backwards == candidate.cost.samples == 5 * batch.rows


@pytest.mark.parametrize("steps", [0, 2])
def test_it_stops_between_steps(task: ForgetTask, steps: int) -> None:
    seen: list[Progress] = []

    def stop() -> bool:
        return len(seen) == steps

    with pytest.raises(Interrupted):
        descend(task, DescentConfig(steps=9), constant(1.0), on_step=seen.append, should_stop=stop)
    assert len(seen) == steps
