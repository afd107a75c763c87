from dataclasses import replace

import pytest
import torch

from recommender import Adapter
from tests.unit.unlearning.methods.ladder.least_change.test_least_change import asked, losses
from unlearning import ForgetTask
from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.least_change import LeastChange
from unlearning.methods.ladder.least_change.repair import Repair
from unlearning.methods.ladder.least_change.solver import Solver
from unlearning.methods.shared.curvature import flat
from unlearning.methods.shared.descent import ChoiceModel

WITHOUT, WITH = LeastChangeConfig(rounds=4, repair_steps=0), LeastChangeConfig(rounds=4)


def retained_loss(task: ForgetTask, adapter: Adapter) -> float:
    return float(losses(task, adapter, task.retain).mean())


def shifted(model: ChoiceModel, task: ForgetTask, length: float) -> None:
    """Move the adapter at random, which harms everybody."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters.values():
            parameter.add_(length * torch.randn(parameter.shape, generator=generator))


def test_the_subjects_are_where_they_should_be_and_the_others_lost_less(task: ForgetTask) -> None:
    wanted = asked(task, 1.0)
    plain, repaired = LeastChange(WITHOUT).run(wanted), LeastChange(WITH).run(wanted)
    before = retained_loss(task, task.adapter)
    assert retained_loss(task, plain.adapter) > before
    lost = [retained_loss(task, candidate.adapter) - before for candidate in (plain, repaired)]
    assert lost[1] < 0.8 * lost[0]
    # Relative to a whole nat, with one more solution after the repair.
    assert float(repaired.artefacts["gap"]) < 0.15
    assert int(plain.artefacts["repair_steps"]) == 0 < int(repaired.artefacts["repair_steps"])


def test_nothing_is_repaired_where_nobody_was_harmed(task: ForgetTask) -> None:
    # Nothing to forget: the subjects are at their levels.
    candidate = LeastChange(WITH).run(asked(task, 0.0))
    assert int(candidate.artefacts["repair_steps"]) == 0
    assert all(
        torch.equal(candidate.adapter.tensors[name], tensor) for name, tensor in task.adapter.tensors.items()
    )


def test_the_walk_ends_where_the_others_have_back_what_they_lost(task: ForgetTask) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    config = replace(WITH, repair_every=1)
    repair = Repair(model, task, config, None)
    assert not repair.is_needed()
    shifted(model, task, 0.1)
    assert repair.is_needed()
    nobody = torch.zeros(1, flat(list(model.parameters.values())).numel())
    repair.run(nobody)
    assert not repair.is_needed()
    assert 1 <= repair.steps < config.repair_steps


def test_a_walk_that_only_harms_leads_back_to_where_it_began(task: ForgetTask) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    repair = Repair(model, task, replace(WITH, repair_length=1e6), None)
    shifted(model, task, 0.05)
    start = model.adapter()
    repair.run(torch.zeros(1, flat(list(model.parameters.values())).numel()))
    assert repair.steps == WITH.repair_steps_each * len(task.forget) < WITH.repair_steps
    assert all(torch.equal(model.adapter().tensors[name], tensor) for name, tensor in start.tensors.items())


def test_a_batch_may_walk_no_longer_than_the_most_of_all(task: ForgetTask) -> None:
    candidate = LeastChange(replace(WITH, repair_steps=7, repair_every=7)).run(asked(task, 1.0))
    assert int(candidate.artefacts["repair_steps"]) == 7


def test_what_was_walked_in_strides_is_repaired_in_longer_and_fewer_steps(
    task: ForgetTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths, optimiser = [], torch.optim.Adam

    def watched(parameters: list[torch.nn.Parameter], lr: float) -> torch.optim.Adam:
        lengths.append(lr)
        return optimiser(parameters, lr=lr)

    monkeypatch.setattr(torch.optim, "Adam", watched)
    steps = []
    for strides in (1, 4):
        model = ChoiceModel(task.base, task.adapter, trainable=True)
        repair = Repair(model, task, replace(WITH, repair_steps=4, repair_every=4), None)
        shifted(model, task, 0.1)
        repair.run(torch.zeros(1, flat(list(model.parameters.values())).numel()), strides=strides)
        steps.append(repair.steps)
    assert steps == [4, 2]
    assert lengths[1] == pytest.approx(4 * lengths[0])


@pytest.mark.parametrize("together", [1, 2, 64])
def test_many_subjects_are_held_by_the_means_of_their_gradients(task: ForgetTask, together: int) -> None:
    candidate = LeastChange(replace(WITH, together=together, rounds=6)).run(asked(task, 0.5))
    assert float(candidate.artefacts["gap"]) < 0.1


def test_the_subjects_are_spared(task: ForgetTask) -> None:
    """Without the projection, the same steps lower the subjects' losses again."""
    edited = LeastChange(WITHOUT).run(asked(task, 1.0)).adapter
    moved = []
    for projected in (True, False):
        model = ChoiceModel(task.base, task.adapter, trainable=True)
        repair = Repair(model, task, WITH, None)
        with torch.no_grad():
            for name, parameter in model.parameters.items():
                parameter.copy_(edited.tensors[name])
        directions = Solver(model, asked(task, 1.0), WITH, None).directions()
        # QR of zeros gives some unit vectors; projecting on these few changes almost nothing of so many parameters.
        repair.run(directions if projected else torch.zeros_like(directions))
        after = losses(task, model.adapter(), task.forget)
        moved.append(float((after - losses(task, edited, task.forget)).abs().mean()))
    assert moved[0] < 0.7 * moved[1]
