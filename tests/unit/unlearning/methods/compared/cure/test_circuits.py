from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recommender import Interrupted
from recommender.choices import Batch
from unlearning import ForgetTask
from unlearning.activations.collect import lora_layers
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.compared.cure.circuits import Circuits, circuits, node_effects
from unlearning.methods.compared.cure.cure import CureConfig
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel, forget_windows, retain_windows

CONFIG = CureConfig(batch_size=8)


def backwards_in_catalogue(tokens: Tensor) -> Tensor:
    """A counterfactual without chance: item k becomes item 39 - k."""
    return torch.where(tokens >= 2, 43 - tokens, tokens)


def nll(model: ChoiceModel, batches: Sequence[Batch]) -> float:
    """Mean per predicted item, in double precision."""
    with torch.no_grad():
        values = [
            losses.log_likelihoods(model.logits(batch).double(), batch.targets, "item") for batch in batches
        ]
    return -float(torch.cat(values).mean())


def up_projection(model: ChoiceModel, node: str) -> nn.Module:
    found = lora_layers(model.model)[node].lora_B["default"]
    assert isinstance(found, nn.Module)
    return found


def record(model: ChoiceModel, node: str, forward: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """What B gives in the node during a forward pass, and what the pass gives."""
    kept: list[Tensor] = []
    handle = up_projection(model, node).register_forward_hook(lambda module, inputs, out: kept.append(out))
    result = forward()
    handle.remove()
    return kept[0], result


def difference(model: ChoiceModel, node: str, batch: Batch) -> Tensor:
    """Activation on the counterfactual less that on the batch."""
    other = replace(batch, tokens=backwards_in_catalogue(batch.tokens))
    with torch.no_grad():
        there, here = (record(model, node, lambda: model.logits(one))[0] for one in (other, batch))  # noqa: B023
    return there - here


def patched_nll(model: ChoiceModel, node: str, batch: Batch, share: float) -> float:
    """The loss with the node's activation moved by `share` of the way to the counterfactual's."""
    shift = share * difference(model, node, batch)
    handle = up_projection(model, node).register_forward_hook(lambda module, inputs, out: out + shift)
    value = nll(model, [batch])
    handle.remove()
    return value


@pytest.fixture(scope="module")
def whole(task: ForgetTask) -> Batch:
    return forget_windows(task, replace(CONFIG, batch_size=100)).draw()


def test_the_effect_is_what_a_small_patch_does(task: ForgetTask, whole: Batch) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    effects = node_effects(model, [whole], backwards_in_catalogue)
    assert len(effects) == 15
    step = 0.02
    for node, effect in effects.items():
        slope = (patched_nll(model, node, whole, step) - patched_nll(model, node, whole, -step)) / (2 * step)
        assert effect == pytest.approx(abs(slope), rel=0.02, abs=2e-5)
    assert max(effects.values()) > 0.01


def test_more_points_average_the_slope_on_the_way(task: ForgetTask, whole: Batch) -> None:
    """Two points: the gradient half-way between the embeddings, here fed in from outside, and that at the window."""
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    node = "model.layers.1.mlp.down_proj"
    embedding = task.base.model.get_input_embeddings()
    start, end = embedding(backwards_in_catalogue(whole.tokens)), embedding(whole.tokens)

    def slope(share: float) -> Tensor:
        inputs = start + share * (end - start)
        activation, logits = record(
            model, node, lambda: model.model(inputs_embeds=inputs, use_cache=False).logits
        )
        loss = losses.cross_entropy(logits[..., whole.asked], whole.targets)
        return torch.autograd.grad(loss, activation)[0]

    total = (difference(model, node, whole) * (slope(0.5) + slope(1.0)) / 2).sum()
    effects = node_effects(model, [whole], backwards_in_catalogue, points=2)
    assert effects[node] == pytest.approx(abs(float(total)), rel=1e-4)
    assert effects[node] != pytest.approx(
        node_effects(model, [whole], backwards_in_catalogue)[node], rel=1e-3
    )


def test_effects_do_not_depend_on_the_batching_and_cost_what_they_say(task: ForgetTask, whole: Batch) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    one = node_effects(model, [whole], backwards_in_catalogue, points=3)
    assert (model.forwards, model.backwards) == (4 * whole.rows, 3 * whole.rows)
    small = forget_windows(task, replace(CONFIG, batch_size=2)).sample(100)
    assert sum(batch.rows for batch in small) == whole.rows
    assert node_effects(model, small, backwards_in_catalogue, points=3) == pytest.approx(
        one, rel=1e-3, abs=1e-6
    )
    # Nothing stays behind: no hook, no gradient.
    assert all(parameter.grad is None for parameter in model.parameters.values())
    assert not any(module._forward_hooks for module in model.model.modules())


def test_a_window_patched_with_itself_changes_nothing(task: ForgetTask, whole: Batch) -> None:
    model = ChoiceModel(task.base, task.adapter, trainable=True)
    unchanged: Callable[[Tensor], Tensor] = lambda tokens: tokens  # noqa: E731
    assert set(node_effects(model, [whole], unchanged).values()) == {0.0}


def test_it_can_be_stopped_between_batches(task: ForgetTask, whole: Batch) -> None:
    def stop() -> None:
        raise Interrupted("stopped")

    model = ChoiceModel(task.base, task.adapter, trainable=True)
    with pytest.raises(Interrupted):
        node_effects(model, [whole], backwards_in_catalogue, before_batch=stop)
    assert model.forwards == 0


def test_a_sample_is_whole_batches_without_repeats(task: ForgetTask) -> None:
    windows = retain_windows(task, CONFIG)
    assert [batch.rows for batch in windows.sample(9)] == [8, 8]
    whole = retain_windows(task, CONFIG)
    assert sum(batch.rows for batch in whole.sample(10_000)) == len(whole)


def test_groups_by_hand() -> None:
    forget = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
    retain = {"a": 1.0, "b": 9.0, "c": 8.0, "d": 0.0}
    # Half of four: a and b for the subjects, b and c for the retained.
    assert circuits(forget, retain, 0.5) == Circuits(forget=("a",), retain=("c",), shared=("b",))
    assert circuits(forget, retain, 1.0) == Circuits((), (), ("a", "b", "c", "d"))
    # One node at least, and the first among equals.
    assert circuits(forget, retain, 0.01) == Circuits(("a",), ("b",), ())
    even = dict.fromkeys("abcd", 0.0)
    assert circuits(even, even, 0.5).shared == ("a", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"circuit_share": 0.0}, "circuit_share must lie"),
        ({"tail": 1.5}, "tail must lie"),
        ({"restart": 1.0}, "restart must lie"),
        ({"integration_points": 0}, "integration_points and discovery_windows"),
        ({"beta": 0.0}, "beta must be"),
        ({"divergence_weight": -1.0}, "divergence_weight at least"),
        ({"forget": "magic"}, "forget is 'magic'; choose one of npo"),
        ({"projection": "all"}, "projection is 'all'; choose one of tensor"),
        ({"counterfactual": "none"}, "counterfactual is 'none'; choose one of pagerank_tail"),
        ({"lr": 0.0}, "lr and max_grad_norm"),
    ],
)
def test_a_value_out_of_range_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        CureConfig(**change)  # type: ignore[arg-type]
