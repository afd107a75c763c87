from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Interrupted
from unlearning import ForgetTask, Progress, collect_statistics
from unlearning.errors import StatisticsMismatch
from unlearning.methods.ucan import Ucan
from unlearning.methods.ucan_config import UcanConfig
from unlearning.statistics import ActivationStatistics, Site, TokenScope

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
def test_cached_sums_give_the_same_gates_as_a_pass_over_the_retained(
    task: ForgetTask, change: dict[str, Any]
) -> None:
    # Min-max keeps scores continuous: under ranks, rounding could swap two equal ones.
    method = Ucan(UcanConfig(normalisation="module_min_max", **change))
    direct = method.run(task)
    quick = method.run(cached(task, method.config.token_scope))
    assert direct.artefacts.keys() == quick.artefacts.keys()
    for name, gate in direct.artefacts.items():
        torch.testing.assert_close(quick.artefacts[name], gate, rtol=1e-3, atol=1e-3)
    # Windows, not users: a history of more than 13 items is read in two passes.
    forget, retain = (sum(1 + (len(one) > 13) for one in users) for users in (task.forget, task.retain))
    assert forget + retain > 40
    assert direct.cost.forwards == direct.cost.samples == forget + retain
    assert quick.cost.forwards == quick.cost.samples == forget
    assert direct.cost.backwards == quick.cost.backwards == 0


def test_only_b_is_scaled_by_the_gates_it_reports(task: ForgetTask) -> None:
    candidate = Ucan().run(task)
    assert len(candidate.artefacts) == 15  # seven linear maps in each of two layers, and the head
    for name, gate in candidate.artefacts.items():
        stem = "base_model.model." + name.removeprefix("gate.")
        up, down = f"{stem}.lora_B.weight", f"{stem}.lora_A.weight"
        torch.testing.assert_close(candidate.adapter.tensors[up], task.adapter.tensors[up] * gate)
        assert torch.equal(candidate.adapter.tensors[down], task.adapter.tensors[down])
        assert gate.shape == (4,)
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
        Ucan(UcanConfig(utility="wanda")).run(narrow)


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
    for name, gate in without.artefacts.items():
        torch.testing.assert_close(with_cache.artefacts[name], gate)
