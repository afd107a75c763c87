import math
from dataclasses import replace

import pytest
import torch

from recommender import Adapter, Interrupted
from tests.unit.unlearning.worlds import same
from unlearning import ForgetTask, Progress
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.e2urec import E2urec, E2urecConfig, augment, forgetting_teacher, joint_loss
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel, forget_windows, retain_windows

QUICK = E2urecConfig(steps=6, forget_only_steps=3, augment_steps=4, augment_lr=3e-3, batch_size=8, lr=3e-3)


def test_the_teacher_lowers_what_the_augmented_adapter_raised() -> None:
    # a - o = (0.5, -1, 0), of which ReLU keeps (0.5, 0, 0): t = o - 2 (0.5, 0, 0).
    original, augmented = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([1.5, 1.0, -1.0])
    assert forgetting_teacher(original, augmented, 2.0).tolist() == [0.0, 2.0, -1.0]
    assert forgetting_teacher(original, augmented, 0.0).tolist() == original.tolist()


def test_the_loss_on_three_tokens_by_hand() -> None:
    # Teacher (1/2, 1/4, 1/4), student (1/4, 1/4, 1/2): -1/2 ln 1/4 - 1/4 ln 1/4 - 1/4 ln 1/2 = 7/4 ln 2. The
    # teacher's logits come from o = (2 ln 2, 0, 0) and a = (3 ln 2, 0, 0) with alpha 1. The second position, with
    # other logits, predicts nothing and must not count.
    ln2 = math.log(2)
    original = torch.tensor([[[2 * ln2, 0.0, 0.0], [9.0, 0.0, 0.0]]])
    augmented = torch.tensor([[[3 * ln2, 0.0, 0.0], [0.0, 9.0, 0.0]]])
    student = torch.tensor([[[0.0, 0.0, ln2], [0.0, 0.0, 7.0]]])
    targets = torch.tensor([[0, losses.IGNORED]])
    teacher = forgetting_teacher(original, augmented, 1.0)
    forget = losses.soft_cross_entropy(teacher, student, targets)
    assert float(forget) == pytest.approx(1.75 * ln2)
    # On the retained side the original is (2/3, 1/6, 1/6): 2/3 * 2 ln 2 + 1/6 * 2 ln 2 + 1/6 * ln 2 = 11/6 ln 2,
    # and item 0 has probability 1/4: 2 ln 2. In all 0.6 * 23/6 ln 2 + 0.4 * 7/4 ln 2 = 3 ln 2.
    remember = losses.soft_cross_entropy(original, student, targets)
    predict = losses.cross_entropy(student, targets)
    assert float(remember) == pytest.approx(11 / 6 * ln2)
    assert float(joint_loss(forget, remember, predict, 0.6)) == pytest.approx(3 * ln2)


def test_it_comes_closer_to_the_teacher_than_doing_nothing(task: ForgetTask) -> None:
    config = replace(QUICK, steps=20, augment_steps=10)
    edited = E2urec(config).run(task).adapter
    whole = replace(QUICK, batch_size=100)
    forget, retain = forget_windows(task, whole).draw(), retain_windows(task, whole).draw()
    original = ChoiceModel(task.base, task.adapter)
    augmented = ChoiceModel(task.base, augment(task, config).adapter)
    teacher = forgetting_teacher(original.logits(forget), augmented.logits(forget), QUICK.alpha)

    def objective(adapter: Adapter) -> float:
        model = ChoiceModel(task.base, adapter)
        kept = model.logits(retain)
        return float(
            joint_loss(
                losses.soft_cross_entropy(teacher, model.logits(forget), forget.targets),
                losses.soft_cross_entropy(original.logits(retain), kept, retain.targets),
                losses.cross_entropy(kept, retain.targets),
                QUICK.w,
            )
        )

    def surprise(model: ChoiceModel) -> float:
        return float(losses.cross_entropy(model.logits(forget), forget.targets))

    assert surprise(augmented) < surprise(original) < surprise(ChoiceModel(task.base, edited))
    assert objective(edited) < objective(task.adapter)


def test_a_repeat_is_the_same_and_the_parent_is_left_alone(task: ForgetTask) -> None:
    parent = {name: tensor.clone() for name, tensor in task.adapter.tensors.items()}
    base = {name: tensor.clone() for name, tensor in task.base.model.state_dict().items()}
    one, other = E2urec(QUICK).run(task), E2urec(QUICK).run(task)
    assert same(one.adapter, other.adapter)
    assert not same(one.adapter, task.adapter)
    assert all(torch.equal(task.adapter.tensors[name], tensor) for name, tensor in parent.items())
    assert all(torch.equal(task.base.model.state_dict()[name], tensor) for name, tensor in base.items())
    # The augmented adapter knows the subjects best of all; nothing of it may outlive the run.
    assert one.artefacts == {}


def test_the_augmented_training_is_part_of_the_cost(task: ForgetTask) -> None:
    # One batch holds all forget windows, f of them; a retain batch holds 8 windows.
    config = replace(QUICK, steps=3, forget_only_steps=1, augment_steps=2)
    rows = len(forget_windows(task, config))
    assert rows <= config.batch_size
    cost = E2urec(config).run(task).cost
    # Backwards: 2 augmenting and 3 of the student on f, 2 joint on the retained.
    assert cost.backwards == cost.samples == 5 * rows + 2 * 8
    # Every student's forward, and without gradient: original and augmented on f thrice, original on 8 twice.
    assert cost.forwards == cost.backwards + 6 * rows + 2 * 8


def test_the_augmented_adapter_is_walked_with_its_own_rate(task: ForgetTask) -> None:
    augmented = augment(task, QUICK).adapter
    assert same(augmented, augment(task, replace(QUICK, lr=1e-4, alpha=0.0, w=0.1)).adapter)
    assert not same(augmented, augment(task, replace(QUICK, augment_lr=1e-4)).adapter)


def test_only_the_marked_items_are_forgotten(task: ForgetTask) -> None:
    marks = tuple(tuple(index == 0 for index in range(len(sequence))) for sequence in task.forget)
    assert not same(
        E2urec(QUICK).run(replace(task, forget_targets=marks)).adapter, E2urec(QUICK).run(task).adapter
    )


def test_the_retained_users_are_read_in_the_joint_phase_only(task: ForgetTask) -> None:
    other = replace(task, retain=task.retain[:5])
    alone = replace(QUICK, forget_only_steps=QUICK.steps)
    assert same(E2urec(alone).run(task).adapter, E2urec(alone).run(other).adapter)
    assert not same(E2urec(QUICK).run(task).adapter, E2urec(QUICK).run(other).adapter)


def test_it_reports_progress_and_can_be_stopped(task: ForgetTask) -> None:
    seen: list[Progress] = []
    E2urec(QUICK).run(task, on_step=seen.append)
    assert [(report.step, report.steps) for report in seen] == [(step, 10) for step in range(1, 11)]
    seen.clear()
    with pytest.raises(Interrupted):
        E2urec(QUICK).run(task, on_step=seen.append, should_stop=lambda: len(seen) >= 6)
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"augment_steps": 0}, "augment_steps must be"),
        ({"augment_lr": 0.0}, "augment_lr positive"),
        ({"alpha": -0.1}, "alpha must be"),
        ({"alpha": math.nan}, "alpha must be"),
        ({"w": 1.1}, "w must lie"),
        ({"forget_only_steps": 31}, "forget_only_steps must lie"),
        ({"steps": 0}, "steps and batch_size"),
    ],
)
def test_a_value_out_of_range_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        E2urecConfig(**change)  # type: ignore[arg-type]


def test_the_card_says_where_the_released_training_differs() -> None:
    published, ours = E2urec.card.published_defaults, E2urec.card.reconstruction
    assert all(part in published for part in ("dropout", "weight decay 0.01", "no clipping"))
    assert all(part in ours for part in ("no dropout", "no weight decay", "clipped to norm 1"))
    assert E2urecConfig().max_grad_norm == 1.0
