import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recommender import Adapter, Base, Interrupted, Split, attach
from unlearning import ForgetTask, Progress, collect_statistics
from unlearning.activations.collect import _Collector, adapter_digest
from unlearning.activations.statistics import ActivationStatistics, Site
from unlearning.errors import InvalidTask

MODULE = "model.layers.1.mlp.down_proj"


def sequences(task: ForgetTask) -> list[tuple[int, ...]]:
    return [*task.forget, *task.retain]


def assert_close(one: ActivationStatistics, other: ActivationStatistics) -> None:
    assert (one.tokens, one.sequences, one.sites) == (other.tokens, other.sequences, other.sites)
    assert one.sums.keys() == other.sums.keys()
    for module, sites in one.sums.items():
        for site, sums in sites.items():
            expected = other.sums[module][site]
            torch.testing.assert_close(sums.absolute, expected.absolute, rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(sums.squares, expected.squares, rtol=1e-5, atol=1e-7)
            assert (sums.moments is None) == (expected.moments is None)
            if sums.moments is not None:
                torch.testing.assert_close(sums.moments, expected.moments, rtol=1e-5, atol=1e-6)


def capture(model: nn.Module, name: str, tokens: list[int]) -> tuple[Tensor, Tensor]:
    """Input and output of one module on one sequence, without any code of ours."""
    seen: list[tuple[Tensor, Tensor]] = []
    handle = model.get_submodule(name).register_forward_hook(
        lambda module, inputs, output: seen.append((inputs[0][0], output[0]))
    )
    with torch.inference_mode():
        model(input_ids=torch.tensor([tokens]), use_cache=False)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("module", ["model.layers.1.mlp.down_proj", "lm_head"])
@pytest.mark.parametrize("sites", [("bottleneck", "input", "output"), ("input", "bottleneck")])
def test_the_sums_are_those_of_the_activations_themselves(
    base: Base, adapter: Adapter, module: str, sites: tuple[Site, ...]
) -> None:
    history = [3, 17, 9, 30, 8]
    statistics = collect_statistics(base, adapter, [history], sites=sites)
    tokens = base.style.encode(history[:-1])
    prefix = f"base_model.model.{module}"
    inputs, bottleneck = capture(attach(base, adapter), f"{prefix}.lora_A.default", tokens)
    _, output = capture(attach(base, adapter), f"{prefix}.lora_B.default", tokens)
    # alpha / r = 8 / 4
    values_of = {"input": inputs, "bottleneck": bottleneck, "output": 2.0 * output}
    for site in sites:
        values, sums = values_of[site], statistics.sums[module][site]
        torch.testing.assert_close(sums.absolute, values.abs().sum(0).double(), rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(sums.squares, values.square().sum(0).double(), rtol=1e-5, atol=1e-7)
    wide = bottleneck.double()
    torch.testing.assert_close(statistics.second_moments(module, "bottleneck"), wide.T @ wide / len(wide))
    assert statistics.moments == ("bottleneck",)
    assert statistics.tokens == len(tokens) == 5
    assert statistics.adapter_digest == adapter_digest(adapter)


@pytest.mark.parametrize("module", ["model.layers.1.mlp.down_proj", "lm_head"])
def test_a_base_of_half_precision_is_read_as_peft_reads_it(base: Base, adapter: Adapter, module: str) -> None:
    half = replace(base, model=copy.deepcopy(base.model).to(torch.bfloat16))
    history = [3, 17, 9, 30, 8]
    statistics = collect_statistics(half, adapter, [history], sites=("bottleneck", "input"))
    path = f"base_model.model.{module}.lora_A.default"
    inputs, bottleneck = capture(attach(half, adapter), path, base.style.encode(history[:-1]))
    for site, values in (("input", inputs), ("bottleneck", bottleneck)):
        found = statistics.sums[module][site]
        torch.testing.assert_close(found.absolute, values.abs().sum(0).double(), rtol=1e-5, atol=1e-7)


def test_second_moments_are_kept_of_the_sites_that_were_named(base: Base, adapter: Adapter) -> None:
    sites: tuple[Site, ...] = ("input", "bottleneck")
    found = collect_statistics(base, adapter, [[3, 17, 9, 30]], sites=sites, moments=("input",))
    assert found.moments == ("input",)
    moments = found.second_moments("lm_head", "input")
    assert moments.shape == (16, 16)
    torch.testing.assert_close(moments.diagonal().sqrt(), found.root_mean_square("lm_head", "input"))
    assert collect_statistics(base, adapter, [[3, 17]], sites=("input",)).moments == ()


def test_padding_and_batching_have_no_effect(base: Base, adapter: Adapter, task: ForgetTask) -> None:
    together = collect_statistics(base, adapter, sequences(task), sites=("bottleneck", "input"))
    alone = collect_statistics(base, adapter, sequences(task), sites=("bottleneck", "input"), token_budget=1)
    assert_close(together, alone)


def test_sums_add_up_over_users(base: Base, adapter: Adapter, task: ForgetTask) -> None:
    everybody = collect_statistics(base, adapter, sequences(task))
    forget = collect_statistics(base, adapter, task.forget)
    retain = collect_statistics(base, adapter, task.retain)
    assert_close(forget + retain, everybody)
    assert_close(everybody - forget, retain)


def test_the_last_token_scope_counts_one_token_per_window(base: Base, adapter: Adapter) -> None:
    # 14 items make two windows of the style's 12.
    statistics = collect_statistics(base, adapter, [list(range(14)), [5, 6]], token_scope="last")
    assert statistics.tokens == 3
    alone = collect_statistics(base, adapter, [[5, 6]], token_scope="last")
    prefix = f"base_model.model.{MODULE}.lora_A.default"
    _, bottleneck = capture(attach(base, adapter), prefix, base.style.encode([5]))
    torch.testing.assert_close(
        alone.sums[MODULE]["bottleneck"].absolute, bottleneck[-1].abs().double(), rtol=1e-5, atol=1e-7
    )


def test_counted_and_uncounted_tokens_add_up_to_all(base: Base, adapter: Adapter) -> None:
    # 16 items make a window of 3 and one of 13; the marks leave nothing of the first.
    histories = [list(range(16)), [30, 21, 12]]
    marks = [[place > 6 for place in range(16)], [True, False, True]]
    others = [[not mark for mark in row] for row in marks]
    sites: tuple[Site, ...] = ("bottleneck", "input", "output")
    everything = collect_statistics(base, adapter, histories, sites=sites)
    marked = collect_statistics(base, adapter, histories, counted=marks, sites=sites)
    unmarked = collect_statistics(base, adapter, histories, counted=others, sites=sites)
    assert (marked.tokens, unmarked.tokens) == (9 + 2, 7 + 1)
    # Both read the same two histories, so adding counts each of them twice.
    assert_close(replace(marked + unmarked, sequences=2), everything)


def test_the_token_that_predicts_an_item_counts_for_it(base: Base, adapter: Adapter) -> None:
    history = [3, 17, 9, 30]
    statistics = collect_statistics(base, adapter, [history], counted=[[False, False, True, False]])
    prefix = f"base_model.model.{MODULE}.lora_A.default"
    _, bottleneck = capture(attach(base, adapter), prefix, base.style.encode(history[:-1]))
    # `bos 3 17 9`: item 9 is predicted where 17 was read.
    torch.testing.assert_close(
        statistics.sums[MODULE]["bottleneck"].absolute, bottleneck[2].abs().double(), rtol=1e-5, atol=1e-7
    )
    last = collect_statistics(
        base, adapter, [history], counted=[[True, False, True, False]], token_scope="last"
    )
    assert_close(replace(last, token_scope="all"), statistics)


@pytest.mark.parametrize(
    "counted",
    [[[True, True]], [[True] * 4], [[True] * 3, [True]], [], [[False] * 3]],
)
def test_counted_must_fit_the_sequences(base: Base, adapter: Adapter, counted: list[list[bool]]) -> None:
    with pytest.raises(InvalidTask, match="counted must mark"):
        collect_statistics(base, adapter, [[3, 17, 9]], counted=counted)


def test_nothing_is_changed_and_no_hook_is_left(base: Base, adapter: Adapter, task: ForgetTask) -> None:
    serving = attach(base, adapter)
    before = {name: tensor.clone() for name, tensor in serving.state_dict().items()}
    weights = {name: tensor.clone() for name, tensor in adapter.tensors.items()}
    collect_statistics(base, adapter, task.forget)
    for module in [*serving.modules(), *base.model.modules()]:
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert not any("lora" in name for name, _ in base.model.named_modules())
    for name, tensor in serving.state_dict().items():
        assert torch.equal(tensor, before[name])
    for name, tensor in adapter.tensors.items():
        assert torch.equal(tensor, weights[name])


def test_hooks_are_removed_when_the_pass_fails(base: Base, adapter: Adapter) -> None:
    model = attach(base, adapter)
    collector = _Collector(model, ("bottleneck", "input"), "all")

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    def fail_midway() -> None:
        with collector.hooked():
            assert (
                hooks() == 2 * 14 + 1
            )  # seven maps in two layers, two sites each; the head reports both at once

            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_midway()
    assert hooks() == 0


def test_the_pass_can_be_stopped_between_batches(base: Base, adapter: Adapter, task: ForgetTask) -> None:
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        collect_statistics(base, adapter, task.forget, token_budget=1, should_stop=lambda: next(answers))


def test_progress_is_reported_per_batch(base: Base, adapter: Adapter, task: ForgetTask) -> None:
    seen: list[Progress] = []
    collect_statistics(base, adapter, task.forget, token_budget=1, on_step=seen.append)
    assert [step.step for step in seen] == list(range(1, len(seen) + 1))
    assert {(step.stage, step.steps) for step in seen} == {("activations", len(seen))}


@pytest.mark.parametrize("bad", [[], [()], [(1, 2), ()]])
def test_no_activations_without_events(base: Base, adapter: Adapter, bad: list[tuple[int, ...]]) -> None:
    with pytest.raises(InvalidTask, match="at least one sequence"):
        collect_statistics(base, adapter, bad)


def test_the_digest_tells_adapters_apart(adapter: Adapter, splits: tuple[Split, ...]) -> None:
    name = next(iter(adapter.tensors))
    other = adapter.replace({**adapter.tensors, name: adapter.tensors[name] * 2})
    assert (
        adapter_digest(adapter) == adapter_digest(adapter.replace(adapter.tensors)) != adapter_digest(other)
    )
