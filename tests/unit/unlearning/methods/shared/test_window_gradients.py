import pytest
import torch

from unlearning import ForgetTask
from unlearning.methods.ladder.least_change import subjects as least_change_subjects
from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.solver import Solver
from unlearning.methods.shared import window_gradients
from unlearning.methods.shared.curvature import flat
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.gradients import summed_loss
from unlearning.methods.shared.window_gradients import WindowGradients
from unlearning.methods.shared.windows import Windows


def test_they_are_what_each_window_gives_alone(task: ForgetTask) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    watched = WindowGradients(model)
    assert watched.possible
    (batch,) = Windows(task.base.style, task.retain[:6], batch_size=64, seed=0).once()
    with watched.watching():
        loss = summed_loss(model.logits(batch), batch.targets)
    together = watched.of(loss)
    alone = [
        flat(
            torch.autograd.grad(summed_loss(model.logits(one), one.targets), list(model.parameters.values()))
        )
        for one in Windows(task.base.style, task.retain[:6], batch_size=1, seed=0).once()
    ]
    assert len(together) == len(alone) == 6
    torch.testing.assert_close(together, torch.stack(alone).to(together), rtol=1e-4, atol=1e-5)


def test_nothing_is_kept_of_what_the_model_computes_later(task: ForgetTask) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    with WindowGradients(model).watching():
        pass
    assert not any(module._forward_hooks for module in model.model.modules())


@pytest.mark.parametrize("memory_weight", [0.0, 0.5])
def test_an_adapter_of_another_kind_is_taken_window_by_window(
    task: ForgetTask, monkeypatch: pytest.MonkeyPatch, memory_weight: float
) -> None:
    levels = tuple(5.0 for _ in task.forget)
    wanted = ForgetTask(**{**vars(task), "never_seen_nll": levels})
    config = LeastChangeConfig(memory_weight=memory_weight)

    def solved() -> tuple[torch.Tensor, torch.Tensor]:
        solver = Solver(ChoiceModel(task.base, task.adapter, trainable=True), wanted, config, None)
        return solver.directions(), solver._inverse

    at_once = solved()
    monkeypatch.setattr(WindowGradients, "possible", property(lambda _: False))
    # As many windows sampled in either case: the sample is made of whole batches.
    one_by_one = solved()
    torch.testing.assert_close(one_by_one[0], at_once[0], rtol=1e-3, atol=1e-5)
    assert one_by_one[1].shape == at_once[1].shape


def test_large_adapters_are_taken_in_smaller_batches(
    task: ForgetTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    numbers = sum(parameter.numel() for parameter in model.parameters.values())
    for held, rows in ((numbers - 1, 1), (3 * numbers, 3), (100 * numbers, 16)):
        monkeypatch.setattr(least_change_subjects, "_MOST_NUMBERS", held)
        assert least_change_subjects.rows_at_once(model, 16) == rows
    assert window_gradients.WindowGradients(model).possible
