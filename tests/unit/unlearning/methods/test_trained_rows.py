"""What each method does with an adapter that has trained rows of the embedding and of the output layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from recommender import Scorer, attach, fit_adapter
from recommender.trained_rows import TrainedRows
from tests.unit.unlearning.conftest import ITEMS
from tests.unit.unlearning.methods.whole_sets import forget_batch, nll
from unlearning import METHODS, ForgetTask, UnlearningError, build_method, collect_statistics, why_not
from unlearning.errors import InvalidTask
from unlearning.methods.shared.adapter_mean import adapter_mean
from unlearning.methods.shared.descent import ChoiceModel

ROWS = TrainedRows(embed=((2, 2 + ITEMS),), head=((2, 2 + ITEMS),))
# Methods that read or move LoRA's activations and channels only.
REFUSED = {
    "ucan": "it contrasts activations, and the adapter has trained rows of the embedding layer and the output layer",
    "cure": "its nodes are activations, and the adapter has trained rows",
    "llm_eraser": "rank channels are those of adapted linear layers",
    "least_change_output": "this adapter does not cover it",
}
CONFIGS: dict[str, dict[str, Any]] = {
    **{
        name: {"steps": 2, "lr": 1e-2}
        for name in ("gradient_ascent", "gradient_difference", "pcgrad", "npo", "random_label")
    },
    "e2urec": {"steps": 2, "lr": 1e-2, "forget_only_steps": 1, "augment_steps": 1},
    "simnpo": {"steps": 2, "lr": 1e-2, "delta": 3.5},
    "llmeraser": {"iterations": 2, "retain_windows": 8, "damping": 1.0},
    "ssd": {"alpha": 0.5, "retain_windows": 8},
    "least_change": {"rounds": 1, "repair_steps": 0, "retain_windows": 8, "retain_items": 20},
    "sharded": {"shards": 2},
}


@pytest.fixture(scope="module")
def task(task: ForgetTask) -> ForgetTask:
    """The small world, whose adapter keeps most of what it has learnt in rows."""
    shape = replace(task.adapter_config, target_modules=("q_proj", "v_proj"), rows=ROWS)
    training = replace(task.training, epochs=3)
    adapter = fit_adapter(task.base, [*task.forget, *task.retain], shape, training)
    levels = tuple(5.0 for _ in task.forget)
    return replace(
        task,
        adapter=adapter,
        adapter_config=shape,
        training=training,
        retain=task.retain[:8],
        retain_validation=task.retain_validation[:8],
        never_seen_nll=levels,
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_method_edits_the_rows_or_says_why_it_cannot(task: ForgetTask, name: str) -> None:
    method = build_method(name, CONFIGS.get(name))
    reason = why_not(method, task.base, task.adapter)
    if name in REFUSED:
        assert REFUSED[name] in (reason or "")
        with pytest.raises(UnlearningError):
            method.run(task)
        return
    assert reason is None
    edited = method.run(task).adapter
    assert edited.tensors.keys() == task.adapter.tensors.keys()
    changed = [
        not torch.equal(edited.tensors[tensor], task.adapter.tensors[tensor]) for tensor in ROWS.counts
    ]
    assert changed == [name != "do_nothing"] * 2
    attach(task.base, edited)


@pytest.mark.parametrize("name", ["gradient_ascent", "npo", "least_change", "llmeraser"])
def test_the_subjects_become_less_likely(task: ForgetTask, name: str) -> None:
    edited = build_method(name, CONFIGS[name]).run(task).adapter
    forget = forget_batch(task)
    assert nll(task, edited, forget) > nll(task, task.adapter, forget) + 0.01


@pytest.mark.parametrize(("name", "config"), [("uniform_shrink", {"factor": 0.0}), ("drop_adapter", {})])
def test_shrinking_to_nothing_leaves_the_bare_base(
    task: ForgetTask, name: str, config: dict[str, Any]
) -> None:
    bare = build_method(name, config).run(task).adapter
    found, expected = (
        Scorer(model, task.base.style).scores(task.forget)
        for model in (attach(task.base, bare), task.base.model)
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", ["double_backward", "gauss_newton", "finite_difference"])
def test_second_derivatives_pass_through_the_rows(task: ForgetTask, kind: str) -> None:
    config = {"product": kind, "iterations": 1, "retain_windows": 4, "damping": 10.0}
    edited = build_method("llmeraser", config).run(task).adapter
    assert all(bool(torch.isfinite(tensor).all()) for tensor in edited.tensors.values())


def test_single_weights_can_be_pruned(task: ForgetTask) -> None:
    config = {"unit": "weight", "steps": 1, "mask_steps": 0, "calibration_windows": 2}
    method = build_method("llm_eraser", config)
    assert why_not(method, task.base, task.adapter) is None
    edited = method.run(task).adapter
    assert int((edited.tensors["embed_rows"] == 0).sum()) > int(
        (task.adapter.tensors["embed_rows"] == 0).sum()
    )


def test_the_mean_of_rows_is_their_weighted_sum(task: ForgetTask) -> None:
    other = task.adapter.replace({name: -3 * one for name, one in task.adapter.tensors.items()})
    mean = adapter_mean([task.adapter, other], [3.0, 1.0])
    for name in ROWS.counts:
        torch.testing.assert_close(mean.tensors[name], 0.0 * task.adapter.tensors[name], atol=1e-6, rtol=0)
    attach(task.base, mean)


def test_statistics_that_would_leave_rows_out_are_not_collected(task: ForgetTask) -> None:
    with pytest.raises(InvalidTask, match="would not cover it: the adapter has trained rows"):
        collect_statistics(task.base, task.adapter, task.forget)


def test_the_head_is_not_edited_where_part_of_it_would_stay(task: ForgetTask) -> None:
    shape = replace(task.adapter_config, target_modules=("lm_head", "q_proj"))
    adapter = fit_adapter(task.base, task.retain, shape, replace(task.training, epochs=1))
    method = build_method("least_change_output")
    assert "trained rows of that layer beside it" in (why_not(method, task.base, adapter) or "")
    inner = replace(shape, rows=TrainedRows(embed=ROWS.embed))
    adapter = fit_adapter(task.base, task.retain, inner, replace(task.training, epochs=1))
    assert why_not(method, task.base, adapter) is None
    edited = method.run(replace(task, adapter=adapter, adapter_config=inner)).adapter
    forget = forget_batch(task)
    assert nll(task, edited, forget) > nll(task, adapter, forget)
    assert torch.equal(edited.tensors["embed_rows"], adapter.tensors["embed_rows"])


def test_the_students_parameters_are_all_of_the_adapter(task: ForgetTask) -> None:
    student = ChoiceModel(task.base, task.adapter, trainable=True)
    assert student.parameters.keys() == task.adapter.tensors.keys()
    trained = {id(one) for one in student.model.parameters() if one.requires_grad}
    assert trained == {id(one) for one in student.parameters.values()}
