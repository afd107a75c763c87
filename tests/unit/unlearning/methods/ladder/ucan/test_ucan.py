from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Adapter, Interrupted
from unlearning import Candidate, ForgetTask, Progress, collect_statistics
from unlearning.activations.statistics import ActivationStatistics, Site, TokenScope
from unlearning.errors import StatisticsMismatch
from unlearning.methods.ladder.ucan.config import Basis, UcanConfig
from unlearning.methods.ladder.ucan.factors import lora_weights
from unlearning.methods.ladder.ucan.scores import fuse
from unlearning.methods.ladder.ucan.ucan import Ucan

EVERY_SITE: tuple[Site, ...] = ("bottleneck", "input", "output")


def cached(task: ForgetTask, scope: TokenScope = "all") -> ForgetTask:
    statistics = collect_statistics(
        task.base, task.adapter, [*task.forget, *task.retain], sites=EVERY_SITE, token_scope=scope
    )
    return replace(task, statistics=ActivationStatistics.from_bytes(statistics.to_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"unit": "output_row"},
        {"unit": "input_column", "utility": "wanda"},
        {"token_scope": "last", "gap": "z_score"},
        {"use_contrast": False},
        {"use_utility": False},
        {"hard_prune": True},
    ],
)
def test_cached_sums_give_the_same_factors_as_a_pass_over_the_retained(
    task: ForgetTask, change: dict[str, Any]
) -> None:
    # Min-max keeps scores continuous: under ranks, rounding could swap two equal ones.
    method = Ucan(UcanConfig(basis="rank", normalisation="module_min_max", **change))
    direct = method.run(task)
    quick = method.run(cached(task, method.config.token_scope))
    assert direct.artefacts.keys() == quick.artefacts.keys()
    for name, factors in direct.artefacts.items():
        torch.testing.assert_close(quick.artefacts[name], factors, rtol=1e-3, atol=1e-3)
    # Windows, not users: a history of more than 13 items is read in two passes.
    forget, retain = (sum(1 + (len(one) > 13) for one in users) for users in (task.forget, task.retain))
    assert forget + retain > 40
    assert direct.cost.forwards == direct.cost.samples == forget + retain
    assert quick.cost.forwards == quick.cost.samples == forget
    assert direct.cost.backwards == quick.cost.backwards == 0


def test_of_the_adapters_own_channels_only_b_is_scaled_by_the_factors_it_reports(task: ForgetTask) -> None:
    candidate = Ucan(UcanConfig(basis="rank")).run(task)
    assert len(candidate.artefacts) == 15  # seven linear maps in each of two layers, and the head
    for name, factors in candidate.artefacts.items():
        stem = "base_model.model." + name.removeprefix("gate.")
        up, down = f"{stem}.lora_B.weight", f"{stem}.lora_A.weight"
        torch.testing.assert_close(candidate.adapter.tensors[up], task.adapter.tensors[up] * factors)
        assert torch.equal(candidate.adapter.tensors[down], task.adapter.tensors[down])
        assert factors.shape == (4,)
    touched = torch.cat(list(candidate.artefacts.values())) < 1
    assert touched.double().mean() == pytest.approx(0.2, abs=0.06)


def test_the_parent_is_left_alone(task: ForgetTask) -> None:
    before = {name: tensor.clone() for name, tensor in task.adapter.tensors.items()}
    Ucan().run(task)
    assert all(torch.equal(task.adapter.tensors[name], before[name]) for name in before)


def test_threshold_one_returns_the_parent(task: ForgetTask) -> None:
    edited = Ucan(UcanConfig(threshold=1.0)).run(task).adapter
    assert all(torch.equal(edited.tensors[name], tensor) for name, tensor in task.adapter.tensors.items())


def test_statistics_of_another_version_are_refused(task: ForgetTask) -> None:
    edited = Ucan().run(task).adapter
    with pytest.raises(StatisticsMismatch, match="another adapter version"):
        Ucan().run(replace(cached(task), adapter=edited))


def test_statistics_that_do_not_fit_the_configuration_are_refused(task: ForgetTask) -> None:
    with pytest.raises(StatisticsMismatch, match="cover all tokens, this configuration needs last"):
        Ucan(UcanConfig(token_scope="last")).run(cached(task))
    narrow = replace(
        task, statistics=collect_statistics(task.base, task.adapter, [*task.forget, *task.retain])
    )
    with pytest.raises(StatisticsMismatch, match="needs input"):
        Ucan(UcanConfig(basis="rank", utility="wanda")).run(narrow)


def test_statistics_without_the_subjects_are_refused(task: ForgetTask) -> None:
    others = replace(task, statistics=collect_statistics(task.base, task.adapter, task.retain[:2]))
    with pytest.raises(StatisticsMismatch):
        Ucan().run(others)


def test_it_reports_progress_and_can_be_stopped(task: ForgetTask) -> None:
    seen: list[Progress] = []
    Ucan().run(task, on_step=seen.append)
    assert {step.stage for step in seen} == {"activations"}
    with pytest.raises(Interrupted):
        Ucan().run(task, should_stop=lambda: True)


def test_marks_that_the_cache_never_counted_are_collected_anew(task: ForgetTask) -> None:
    # With the scope "last", the last marked item of a window need not be the one that the cached sums hold.
    marks = tuple((True, *(False,) * (len(sequence) - 1)) for sequence in task.forget)
    method = Ucan(UcanConfig(token_scope="last", normalisation="module_min_max"))
    with_cache = method.run(replace(cached(task, "last"), forget_targets=marks))
    without = method.run(replace(task, statistics=None, forget_targets=marks))
    for name, factors in without.artefacts.items():
        torch.testing.assert_close(with_cache.artefacts[name], factors)


def test_something_of_everybody_is_collected_afresh(task: ForgetTask) -> None:
    # Every user names one item: no whole sequence is left to take out of the cached sums.
    everybody = (*task.forget, *task.retain)
    marks = tuple((True, *(False,) * (len(sequence) - 1)) for sequence in everybody)
    all_of_them = replace(cached(task), forget=everybody, retain=everybody, forget_targets=marks)
    with_cache = Ucan().run(all_of_them)
    without = Ucan().run(replace(all_of_them, statistics=None))
    assert with_cache.cost.forwards == without.cost.forwards
    for name, factors in without.artefacts.items():
        assert torch.equal(with_cache.artefacts[name], factors)


def test_what_the_documentation_promises_of_it() -> None:
    text = " ".join((Ucan.__doc__ or "").split())
    assert "carry no membership" in text
    assert "ablation order does not reproduce" in text
    assert "agree" not in (fuse.__doc__ or "")


def _with_patterns(adapter: Adapter, module: str, factor: float, *, in_config: bool) -> Adapter:
    """The adapter with one module's output times `factor`: by its alpha pattern, or in its B."""
    if in_config:
        alpha = float(adapter.config["lora_alpha"])
        return replace(adapter, config={**adapter.config, "alpha_pattern": {module: factor * alpha}})
    name = f"base_model.model.{module}.lora_B.weight"
    return adapter.replace({**adapter.tensors, name: factor * adapter.tensors[name]})


@pytest.mark.parametrize("basis", ["rank", "contrast_z"])
def test_the_global_rank_weighs_the_scale_of_each_module(task: ForgetTask, basis: Basis) -> None:
    module = "model.layers.1.mlp.down_proj"
    method = Ucan(UcanConfig(basis=basis, normalisation="global_rank", use_contrast=False))
    written, built_in = (
        method.run(replace(task, adapter=_with_patterns(task.adapter, module, 16.0, in_config=choice)))
        for choice in (True, False)
    )
    # The same model gives the same factors, which differ from those with the module at its old scale.
    for name, factors in built_in.artefacts.items():
        torch.testing.assert_close(written.artefacts[name], factors)
    before = method.run(task).artefacts
    assert any(not torch.equal(before[name], factors) for name, factors in written.artefacts.items())


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 8}, 2.0),
        ({"lora_alpha": 8, "use_rslora": True}, 4.0),
        ({"lora_alpha": 8, "alpha_pattern": {"q_proj": 2}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"k_proj": 2}}, 2.0),
        # The rank is that of the tensors, whatever pattern it came from.
        ({"lora_alpha": 8, "r": 64, "rank_pattern": {"q_proj": 4}}, 2.0),
    ],
)
def test_a_modules_scale_is_pefts(config: dict[str, object], scale: float) -> None:
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    pair = {f"{stem}.lora_A.weight": torch.ones(4, 3), f"{stem}.lora_B.weight": torch.ones(5, 4)}
    (found,) = lora_weights(Adapter(config, pair)).values()
    assert found.scale == scale


def test_without_statistics_a_sample_of_the_retained_users_is_read(task: ForgetTask) -> None:
    few = Ucan(UcanConfig(retain_sequences=3)).run(task)
    everybody = Ucan(UcanConfig(retain_sequences=None)).run(task)
    assert few.cost.forwards < everybody.cost.forwards
    again, other = (Ucan(UcanConfig(retain_sequences=3)).run(replace(task, seed=seed)) for seed in (0, 1))
    assert same(few, again) is (task.seed == 0)
    assert not same(again, other)


def same(one: Candidate, other: Candidate) -> bool:
    return all(
        torch.equal(tensor, other.adapter.tensors[name]) for name, tensor in one.adapter.tensors.items()
    )
