from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recommender import Adapter, AdapterConfig, Base, Interrupted, Split, TrainingConfig, attach, fit_adapter
from tests.unit.unlearning.methods.ladder.levels_asked import asked, losses
from unlearning import ForgetTask, Progress, build_method
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.evaluation.gains import smoothed
from unlearning.methods.demands import why_not
from unlearning.methods.ladder.least_change_output.config import LeastChangeOutputConfig
from unlearning.methods.ladder.least_change_output.least_change_output import LeastChangeOutput
from unlearning.methods.ladder.least_change_output.output_layer import OutputLayer
from unlearning.methods.ladder.least_change_output.solver import Equations, OutputSolver
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.gradients import predicted_items
from unlearning.methods.shared.windows import Windows

HEAD = "base_model.model.lm_head"


def solver(task: ForgetTask, config: LeastChangeOutputConfig) -> tuple[OutputLayer, OutputSolver]:
    layer = OutputLayer(task.base, task.adapter)
    return layer, OutputSolver(layer, task, config, None)


def retained_divergence(task: ForgetTask, adapter: Adapter) -> float:
    """Mean divergence of all retained users' next-item distributions from those before the edit, in nats."""

    def served(one: Adapter) -> Tensor:
        model, rows = attach(task.base, one), []
        for sequence in task.retain:
            tokens = torch.tensor([task.base.style.encode(sequence)])
            rows.append(model(input_ids=tokens).logits[0, -1, task.base.style.item_rows])
        return torch.log_softmax(torch.stack(rows).detach(), dim=-1)

    before, after = served(task.adapter), served(adapter)
    return float((before.exp() * (before - after)).sum(-1).mean())


@pytest.fixture(scope="module")
def headless(base: Base, splits: tuple[Split, ...]) -> Adapter:
    """An adapter without the output layer."""
    config = AdapterConfig(r=2, alpha=4, target_modules=("q_proj", "v_proj"))
    training = TrainingConfig(epochs=1, batch_size=8, patience=None, seed=1)
    return fit_adapter(base, [split.train for split in splits[:8]], config, training)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_every_subject_reaches_its_own_level(task: ForgetTask, smoothing: float) -> None:
    wanted = asked(replace(task, smoothing=smoothing), torch.linspace(0.1, 0.6, 3, dtype=torch.float64))
    candidate = LeastChangeOutput(LeastChangeOutputConfig(rounds=6)).run(wanted)
    gap = torch.tensor(wanted.never_seen_nll, dtype=torch.float64)
    gap = gap - losses(wanted, candidate.adapter, wanted.forget)
    assert float(gap.abs().max()) < 0.02
    assert float(candidate.artefacts["gap"]) == pytest.approx(float(gap.square().mean().sqrt()), abs=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("marked", [False, True])
def test_the_closed_form_gradient_is_autograds(task: ForgetTask, smoothing: float, marked: bool) -> None:
    marks = tuple(tuple(place % 3 != 1 for place in range(len(own))) for own in task.forget)
    asking = replace(asked(task, 0.2), smoothing=smoothing, forget_targets=marks if marked else None)
    layer, solved = solver(asking, LeastChangeOutputConfig())
    # Not only where the edit starts.
    generator = torch.Generator().manual_seed(0)
    solved.change = 0.3 * torch.randn(solved.change.shape, generator=generator)
    model = ChoiceModel(task.base, layer.changed(solved.rows, solved.change), trainable=True)
    up, scale = model.parameters[f"{HEAD}.lora_B.weight"], float(task.adapter.config["lora_alpha"]) / 4
    down = task.adapter.tensors[f"{HEAD}.lora_A.weight"]
    for place, own in enumerate(asking.forget):
        targets = [marks[place]] if marked else None
        (batch,) = Windows(task.base.style, [own], targets, batch_size=64, seed=0).once()
        likelihoods = torch.log_softmax(model.logits(batch), dim=-1)[batch.targets >= 0]
        nll = -likelihoods.gather(-1, batch.targets[batch.targets >= 0].unsqueeze(-1))
        loss = smoothed(nll, smoothing, len(task.base.catalogue)).sum() / predicted_items([batch])
        (wanted,) = torch.autograd.grad(loss, [up])
        # What B's rows get, seen from z: X z = s dB A h with z = V' h, so dB = X V' pinv(A) / s.
        wanted = wanted[solved.rows + 2] @ (layer.input_basis @ torch.linalg.pinv(down)).T / scale
        torch.testing.assert_close(solved.gradient(place), wanted, rtol=1e-4, atol=1e-6)


def test_the_equations_close_the_gap_and_what_is_free_moves_no_subject(task: ForgetTask) -> None:
    _, solved = solver(asked(task, 0.2), LeastChangeOutputConfig())
    gradients = torch.stack([solved.gradient(place).flatten() for place in range(3)])
    equations = Equations.of(gradients, solved._retained, 1e-9)
    assert equations is not None
    gap = torch.tensor([0.3, 0.1, -0.2], dtype=torch.float64)
    torch.testing.assert_close((gradients @ equations.step(gap)).double(), gap, rtol=1e-3, atol=1e-5)
    residual = torch.randn(solved.change.shape, generator=torch.Generator().manual_seed(1)) + gradients.sum(
        0
    ).view_as(solved.change)
    direction = solved._retained.preconditioned(equations.projected(residual)).flatten()
    assert float((gradients @ direction).abs().max()) < 1e-4 * float(
        (gradients.abs() @ direction.abs()).max()
    )


def test_two_subjects_that_are_one_and_the_same_do_not_break_the_equations(task: ForgetTask) -> None:
    twice = asked(replace(task, forget=(task.forget[0], task.forget[0])), 0.3)
    assert float(LeastChangeOutput().run(twice).artefacts["gap"]) < 0.02


def test_only_the_rows_of_the_subjects_items_change(task: ForgetTask) -> None:
    edited = LeastChangeOutput().run(asked(task, 0.3)).adapter
    changed = {
        name for name, tensor in task.adapter.tensors.items() if not torch.equal(edited.tensors[name], tensor)
    }
    assert changed == {f"{HEAD}.lora_B.weight"}
    moved = (edited.tensors[f"{HEAD}.lora_B.weight"] != task.adapter.tensors[f"{HEAD}.lora_B.weight"]).any(-1)
    first = task.base.style.first_item_token
    assert {int(row) - first for row in moved.nonzero()} == {item for own in task.forget for item in own}


def test_refinements_cost_the_others_less(task: ForgetTask) -> None:
    wanted = asked(task, 0.5)
    plain, refined = (
        LeastChangeOutput(LeastChangeOutputConfig(rounds=6, refinements=steps)).run(wanted)
        for steps in (0, 10)
    )
    assert max(float(plain.artefacts["gap"]), float(refined.artefacts["gap"])) < 0.02
    assert retained_divergence(task, refined.adapter) < retained_divergence(task, plain.adapter)


def test_a_subject_at_its_level_stays_and_one_above_it_is_not_learnt_again(task: ForgetTask) -> None:
    more = torch.tensor([-0.5, 0.0, 0.4], dtype=torch.float64)
    before, wanted = losses(task, task.adapter, task.forget), asked(task, more)
    after = losses(task, LeastChangeOutput().run(wanted).adapter, task.forget)
    torch.testing.assert_close(after - before, more.clamp(min=0.0), atol=0.02, rtol=0)
    at_level = LeastChangeOutput().run(asked(task, -0.1)).adapter
    assert all(torch.equal(at_level.tensors[name], own) for name, own in task.adapter.tensors.items())


def test_the_gauge_of_the_adapter_does_not_matter(task: ForgetTask) -> None:
    wanted = asked(task, 0.4)
    mix = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)))[0] @ torch.diag(
        torch.tensor([0.3, 1.0, 2.0, 5.0])
    )
    down, up = (task.adapter.tensors[f"{HEAD}.lora_{part}.weight"] for part in "AB")
    other = task.adapter.replace(
        {
            **task.adapter.tensors,
            f"{HEAD}.lora_A.weight": mix @ down,
            f"{HEAD}.lora_B.weight": up @ torch.linalg.inv(mix),
        }
    )
    products = [
        edited.tensors[f"{HEAD}.lora_B.weight"] @ edited.tensors[f"{HEAD}.lora_A.weight"]
        for edited in (
            LeastChangeOutput().run(replace(wanted, adapter=parent)).adapter
            for parent in (task.adapter, other)
        )
    ]
    torch.testing.assert_close(products[0], products[1], rtol=1e-3, atol=1e-3)


def test_a_rank_that_is_not_used_does_not_matter(task: ForgetTask) -> None:
    down = task.adapter.tensors[f"{HEAD}.lora_A.weight"].clone()
    down[3] = down[2]
    flat = task.adapter.replace({**task.adapter.tensors, f"{HEAD}.lora_A.weight": down})
    candidate = LeastChangeOutput(LeastChangeOutputConfig(rounds=6)).run(
        asked(replace(task, adapter=flat), 0.3)
    )
    assert float(candidate.artefacts["gap"]) < 0.02


def test_groups_come_near_the_levels_too(task: ForgetTask) -> None:
    wanted = asked(task, 0.3)
    candidate = LeastChangeOutput(LeastChangeOutputConfig(together=2, rounds=8)).run(wanted)
    assert float(candidate.artefacts["gap"]) < 0.15


def test_two_runs_agree_bit_for_bit_and_take_no_backward_pass(task: ForgetTask) -> None:
    wanted, seen = asked(task, 0.3), list[Progress]()
    first, second = (LeastChangeOutput().run(wanted, on_step=seen.append) for _ in range(2))
    assert all(torch.equal(first.adapter.tensors[name], own) for name, own in second.adapter.tensors.items())
    assert {report.stage for report in seen} == {"descent"}
    # Subjects and retained users are read once, and one subject a second time, for any number of rounds.
    assert first.cost.backwards == 0
    assert first.cost.forwards == 2 + len(task.retain) + sum(
        len(Windows(task.base.style, [own], batch_size=1, seed=0)) for own in task.forget
    )


def test_what_is_asked_for_and_cannot_be_had_leaves_finite_numbers(task: ForgetTask) -> None:
    edited = LeastChangeOutput(LeastChangeOutputConfig(rounds=1, halvings=0)).run(asked(task, 1e6)).adapter
    assert all(bool(torch.isfinite(tensor).all()) for tensor in edited.tensors.values())


def test_it_says_which_adapters_it_does_not_take(task: ForgetTask, headless: Adapter) -> None:
    method = LeastChangeOutput()
    assert why_not(method, task.base, task.adapter) is None
    problem = why_not(method, task.base, headless)
    assert problem is not None
    assert "lm_head" in problem
    assert why_not(build_method("least_change"), task.base, headless) is None
    with pytest.raises(InvalidTask, match="lm_head"):
        method.run(replace(asked(task, 0.3), adapter=headless))


def test_a_layer_that_is_tied_to_the_embeddings_is_refused(task: ForgetTask) -> None:
    tied = replace(task.adapter, config={**task.adapter.config, "ensure_weight_tying": True})
    problem = why_not(LeastChangeOutput(), task.base, tied)
    assert problem is not None
    assert "embeddings" in problem


def test_a_model_that_changes_its_logits_behind_the_layer_is_refused(task: ForgetTask) -> None:
    layer = OutputLayer(task.base, task.adapter)
    batch = next(Windows(task.base.style, task.forget[:1], batch_size=1, seed=0).once())
    layer.check(batch)
    layer.weight = 1.1 * layer.weight
    with pytest.raises(InvalidTask, match="behind the output layer"):
        layer.check(batch)


def test_an_adapter_that_lets_nothing_through_is_left_alone(task: ForgetTask) -> None:
    down = torch.zeros_like(task.adapter.tensors[f"{HEAD}.lora_A.weight"])
    closed = task.adapter.replace({**task.adapter.tensors, f"{HEAD}.lora_A.weight": down})
    edited = LeastChangeOutput().run(asked(replace(task, adapter=closed), 0.3)).adapter
    assert all(torch.equal(edited.tensors[name], own) for name, own in closed.tensors.items())


def test_without_levels_it_refuses_and_it_stops_when_asked(task: ForgetTask) -> None:
    with pytest.raises(InvalidTask, match="never_seen_nll"):
        LeastChangeOutput().run(task)
    with pytest.raises(Interrupted):
        LeastChangeOutput().run(asked(task, 0.3), should_stop=lambda: True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("rounds", 0), ("retain_prompts", 0), ("damping", 0.0), ("ridge", -1.0), ("tolerance", float("inf"))],
)
def test_values_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(InvalidMethodConfig, match=field):
        build_method("least_change_output", {field: value})
