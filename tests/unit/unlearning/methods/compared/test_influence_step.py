from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recommender import Adapter, Interrupted
from recommender.choices import Batch
from unlearning import ForgetTask, Progress
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.influence_step import InfluenceStep, InfluenceStepConfig
from unlearning.methods.shared.curvature import Curvature, flat
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.gradients import predicted_items, summed_gradient, summed_loss
from unlearning.methods.shared.windows import Windows

FEW = {"retain_windows": 16, "iterations": 10}


def subjects(task: ForgetTask) -> list[Batch]:
    return list(Windows(task.base.style, task.forget, batch_size=16, seed=0).once())


def mean_loss(task: ForgetTask, adapter: Adapter) -> float:
    model, batches = ChoiceModel(task.base, adapter), subjects(task)
    total = sum(float(summed_loss(model.logits(batch), batch.targets)) for batch in batches)
    return total / predicted_items(batches)


def change_of(task: ForgetTask, edited: Adapter, order: ChoiceModel) -> Tensor:
    return flat([edited.tensors[name].double() - task.adapter.tensors[name] for name in order.parameters])


def influence(task: ForgetTask, model: ChoiceModel) -> Tensor:
    gradients = summed_gradient(model, subjects(task))
    return flat(list(gradients.values())) / sum(map(len, task.retain))


def test_under_heavy_damping_it_is_the_subjects_gradient_over_the_number_of_retained_items(
    task: ForgetTask,
) -> None:
    # (H + lambda)^-1 b is b / lambda where lambda dwarfs H; the scale takes lambda out again.
    edited = InfluenceStep(InfluenceStepConfig(damping=1e6, step_scale=1e6, **FEW)).run(task).adapter
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    torch.testing.assert_close(change_of(task, edited, model), influence(task, model), rtol=1e-3, atol=1e-7)


def test_only_marked_items_are_taken_back(task: ForgetTask) -> None:
    sequence = task.forget[0]
    marked = replace(
        task,
        forget=(sequence,),
        forget_targets=(tuple(place == len(sequence) - 1 for place in range(len(sequence))),),
    )
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    edited = InfluenceStep(InfluenceStepConfig(damping=1e6, step_scale=1e6, **FEW)).run(marked).adapter
    (batch,) = Windows(task.base.style, marked.forget, marked.forget_targets, batch_size=1, seed=0).once()
    assert predicted_items([batch]) == 1
    loss = -model.logits(batch).log_softmax(-1)[0, -1, sequence[-1]]
    b = flat(torch.autograd.grad(loss, list(model.parameters.values()))) / sum(map(len, task.retain))
    torch.testing.assert_close(change_of(task, edited, model), b, rtol=1e-3, atol=1e-7)


def test_the_change_solves_the_damped_system(task: ForgetTask) -> None:
    config = InfluenceStepConfig(retain_windows=16)
    candidate = InfluenceStep(config).run(task)
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    change, b = change_of(task, candidate.adapter, model), influence(task, model)
    retained = Windows(task.base.style, task.retain, batch_size=16, seed=task.seed + 1)
    image = Curvature(model, "gauss_newton", difference_step=1e-2).times(change, retained.sample(16))
    residual = float((image + config.damping * change - b).norm() / b.norm())
    assert residual == pytest.approx(candidate.artefacts["residual"].item(), abs=1e-3)
    assert residual < 2e-3
    assert not candidate.artefacts["negative_curvature"]


def test_it_raises_the_subjects_loss_and_a_larger_step_more(task: ForgetTask) -> None:
    half = InfluenceStep(InfluenceStepConfig(step_scale=0.5, **FEW)).run(task)
    full = InfluenceStep(InfluenceStepConfig(**FEW)).run(task)
    losses = [mean_loss(task, adapter) for adapter in (task.adapter, half.adapter, full.adapter)]
    assert losses == sorted(losses)
    assert losses[2] > losses[0] + 0.1


def test_the_exact_hessian_is_not_positive_and_the_artefacts_say_so(task: ForgetTask) -> None:
    candidate = InfluenceStep(InfluenceStepConfig(product="double_backward", damping=1e-3, **FEW)).run(task)
    assert candidate.artefacts["negative_curvature"]
    assert candidate.artefacts["iterations"] < 10
    assert candidate.artefacts["residual"] > 0.1


def test_the_quadratic_at_the_published_rate_hardly_moves(task: ForgetTask) -> None:
    slow = InfluenceStepConfig(solver="quadratic", solver_lr=1e-5, product="double_backward", **FEW)
    candidate = InfluenceStep(slow).run(task)
    assert candidate.artefacts["iterations"] == 10
    assert 0.5 < candidate.artefacts["residual"] < 1.0


def test_every_product_is_paid_for(task: ForgetTask) -> None:
    config = InfluenceStepConfig(iterations=2, retain_windows=16, tolerance=0.0)
    forget = len(Windows(task.base.style, task.forget, batch_size=1, seed=0))
    cost = InfluenceStep(config).run(task).cost
    # Two steps and the check, 16 windows each; a Gauss-Newton product needs three backwards.
    assert (cost.forwards, cost.backwards) == (forget + 3 * 16, forget + 3 * 3 * 16)


def test_a_repeat_is_the_same_bit_for_bit_and_the_parent_stays(task: ForgetTask) -> None:
    before = task.adapter.to_bytes()
    method = InfluenceStep(InfluenceStepConfig(iterations=2, retain_windows=16))
    one, two = method.run(task), method.run(task)
    assert one.adapter.to_bytes() == two.adapter.to_bytes() != before
    assert task.adapter.to_bytes() == before


def test_it_reports_progress_and_can_be_stopped(task: ForgetTask) -> None:
    seen: list[Progress] = []
    with pytest.raises(Interrupted):
        InfluenceStep().run(task, on_step=seen.append, should_stop=lambda: len(seen) >= 2)
    assert [(step.stage, step.step, step.steps) for step in seen] == [("hessian", 1, 21), ("hessian", 2, 21)]


@pytest.mark.parametrize(
    "change",
    [
        {"product": "cubic"},
        {"solver": "magic"},
        {"iterations": 0},
        {"retain_windows": 0},
        {"batch_size": 0},
        {"solver_lr": 0.0},
        {"difference_step": 0.0},
        {"step_scale": -1.0},
        {"damping": -0.1},
        {"tolerance": float("nan")},
    ],
)
def test_a_bad_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMethodConfig, match=next(iter(change))):
        InfluenceStepConfig(**change)
