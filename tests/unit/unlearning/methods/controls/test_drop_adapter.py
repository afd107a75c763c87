import torch

from recommender import Scorer, attach
from unlearning import ForgetTask, build_method
from unlearning.methods.controls.drop_adapter import DropAdapter


def test_every_b_is_0_and_nothing_else_changes(task: ForgetTask) -> None:
    parent = task.adapter.to_bytes()
    candidate = DropAdapter().run(task)
    for name, tensor in task.adapter.tensors.items():
        expected = torch.zeros_like(tensor) if "lora_B" in name else tensor
        assert torch.equal(candidate.adapter.tensors[name], expected)
    assert task.adapter.to_bytes() == parent
    assert (candidate.cost.forwards, candidate.cost.backwards, candidate.cost.samples) == (0, 0, 0)


def test_what_answers_is_the_bare_base(task: ForgetTask) -> None:
    bare = attach(task.base, DropAdapter().run(task).adapter)
    histories = [task.forget[0][:4], task.retain[0]]
    assert torch.equal(
        Scorer(bare, task.base.style).scores(histories),
        Scorer(task.base.model, task.base.style).scores(histories),
    )


def test_it_is_a_control_that_reads_nothing() -> None:
    card = build_method("drop_adapter").card
    assert (card.control, card.cost_class, card.paper) == (True, "none", None)
