"""A canonical basis: the edit depends on the adapter's function, not on its factorisation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recommender import Adapter, attach
from unlearning import ForgetTask, collect_statistics
from unlearning.activations.statistics import Site
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.ladder.ucan import basis as ucan_basis
from unlearning.methods.ladder.ucan.basis import Channels, contrast, scaled, singular
from unlearning.methods.ladder.ucan.config import Basis, UcanConfig
from unlearning.methods.ladder.ucan.ucan import Ucan

CANONICAL: tuple[Basis, ...] = ("svd", "contrast_z", "contrast_x")
STEM, DOWN, UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def method(basis: Basis, **change: Any) -> Ucan:
    return Ucan(UcanConfig(basis=basis, threshold=0.5, **change))


def turned(adapter: Adapter, seed: int) -> Adapter:
    """The same model in other factors: (Q A, B Q⁻¹) with a random Q whose condition number is 9."""
    draw = torch.Generator().manual_seed(seed)
    tensors = dict(adapter.tensors)
    for name in adapter.tensors:
        if not name.endswith(DOWN):
            continue
        rank = len(tensors[name])
        left, right = (
            torch.linalg.qr(torch.randn(rank, rank, generator=draw, dtype=torch.float64))[0] for _ in range(2)
        )
        mixed = left * torch.logspace(0, 2, rank, base=3.0, dtype=torch.float64) @ right
        up = name.removesuffix(DOWN) + UP
        tensors[name] = (mixed @ tensors[name].double()).float()
        tensors[up] = (tensors[up].double() @ torch.linalg.inv(mixed)).float()
    return adapter.replace(tensors)


def logits(task: ForgetTask, adapter: Adapter) -> Tensor:
    tokens = torch.tensor([task.base.style.encode([3, 1, 4, 15, 9, 26, 5])])
    with torch.inference_mode():
        found: Tensor = attach(task.base, adapter)(tokens).logits
    return found


def share_of_the_edit(task: ForgetTask, own: Ucan) -> float:
    """The distance between the edits of one model in two factorisations, relative to the size of the edits."""
    other = replace(task, adapter=turned(task.adapter, 0))
    before = logits(task, task.adapter)
    torch.testing.assert_close(logits(other, other.adapter), before, rtol=1e-3, atol=1e-4)
    one, two = (logits(each, own.run(each).adapter) for each in (task, other))
    return float((one - two).norm() / (one - before).norm())


@pytest.mark.parametrize("normalisation", ["module_percentile", "global_rank"])
@pytest.mark.parametrize("basis", CANONICAL)
def test_another_factorisation_of_the_same_model_gets_the_same_edit(
    task: ForgetTask, basis: Basis, normalisation: str
) -> None:
    assert share_of_the_edit(task, method(basis, normalisation=normalisation)) < 0.01


def test_the_adapters_own_channels_are_an_accident(task: ForgetTask) -> None:
    assert share_of_the_edit(task, method("rank")) > 0.3


@pytest.mark.parametrize("basis", CANONICAL)
def test_one_subject_with_fewer_tokens_than_channels_is_told_apart_all_the_same(
    task: ForgetTask, basis: Basis
) -> None:
    # Two tokens: most directions are equal in the contrast.
    short = replace(task, forget=(task.forget[0][:2],))
    assert share_of_the_edit(short, method(basis)) < 0.01


@pytest.mark.parametrize("basis", CANONICAL)
@pytest.mark.parametrize("gap", ["relative", "difference"])
@pytest.mark.parametrize("utility", ["energy", "convex"])
def test_cached_moments_give_the_edit_of_a_pass_over_the_retained(
    task: ForgetTask, basis: Basis, gap: str, utility: str
) -> None:
    own = method(basis, gap=gap, utility=utility)
    sites: tuple[Site, ...] = ("bottleneck", "input")
    statistics = collect_statistics(
        task.base, task.adapter, [*task.forget, *task.retain], sites=sites, moments=sites
    )
    quick = own.run(replace(task, statistics=type(statistics).from_bytes(statistics.to_bytes())))
    direct = own.run(task)
    assert quick.cost.forwards < direct.cost.forwards
    torch.testing.assert_close(
        logits(task, quick.adapter), logits(task, direct.adapter), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("basis", CANONICAL)
def test_statistics_from_before_moments_are_collected_afresh(task: ForgetTask, basis: Basis) -> None:
    everybody = [*task.forget, *task.retain]
    old = collect_statistics(task.base, task.adapter, everybody, sites=("bottleneck", "input"), moments=())
    direct = method(basis).run(task)
    again = method(basis).run(replace(task, statistics=old))
    assert again.cost.forwards == direct.cost.forwards
    assert all(torch.equal(again.adapter.tensors[n], tensor) for n, tensor in direct.adapter.tensors.items())


@pytest.mark.parametrize("basis", CANONICAL)
def test_only_one_factor_is_edited_and_factors_of_one_change_nothing(task: ForgetTask, basis: Basis) -> None:
    edited = method(basis).run(task)
    moved = {
        name
        for name, tensor in task.adapter.tensors.items()
        if not edited.adapter.tensors[name].equal(tensor)
    }
    assert {name.endswith(DOWN if basis == "contrast_x" else UP) for name in moved} == {True}
    assert len(moved) == len(edited.artefacts) == 15
    still = Ucan(UcanConfig(basis=basis, threshold=1.0)).run(task).adapter
    assert all(still.tensors[name].equal(tensor) for name, tensor in task.adapter.tensors.items())


def test_factors_of_zero_leave_nothing_of_the_module() -> None:
    draw = torch.Generator().manual_seed(3)
    down, up = torch.randn(3, 5, generator=draw), torch.randn(6, 3, generator=draw)
    own = singular(down, up)
    assert float((scaled(up, own, torch.zeros(3)) @ down).abs().max()) < 1e-5
    seen = torch.randn(20, 3, generator=draw, dtype=torch.float64)
    own = contrast(seen[:8].T @ seen[:8], seen[8:].T @ seen[8:], up)
    assert float((scaled(up, own, torch.zeros(3)) @ seen.T.float()).abs().max()) < 1e-5


def test_singular_channels_by_hand() -> None:
    # B A = [[6, 0], [0, 0.5]]: the channels are its two axes, whatever the scale of the factors.
    down, up = torch.tensor([[2.0, 0.0], [0.0, 0.25]]), torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    own = singular(down, up)
    torch.testing.assert_close(own.reads @ own.spans, torch.eye(2, dtype=torch.float64))
    half = scaled(up, own, torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(half @ down, torch.tensor([[3.0, 0.0], [0.0, 0.5]]))


def test_a_direction_the_adapter_does_not_use_is_no_channel() -> None:
    down, up = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert len(singular(down, up).reads) == 1
    everywhere = torch.eye(2, dtype=torch.float64)
    assert len(contrast(everywhere, everywhere, torch.tensor([[1.0, 0.0]])).reads) == 1


def test_contrasts_by_hand() -> None:
    # Subjects 4 and 1 along the axes, retained users 1 and 4: mu = 4/5 and 1/5, whatever the units.
    forget, retain = (
        torch.diag(torch.tensor([4.0, 1.0])).double(),
        torch.diag(torch.tensor([1.0, 4.0])).double(),
    )
    own = contrast(forget, retain, torch.eye(2))
    assert ((own.reads @ forget) * own.reads).sum(1).tolist() == pytest.approx([0.2, 0.8])
    assert ((own.reads @ retain) * own.reads).sum(1).tolist() == pytest.approx([0.8, 0.2])
    units = torch.diag(torch.tensor([1e-6, 1e3])).double()
    other = contrast(units @ forget @ units, units @ retain @ units, torch.eye(2).double() @ units.inverse())
    torch.testing.assert_close(other.reads.abs(), (own.reads @ units.inverse()).abs())


def test_what_retained_users_never_show_is_all_the_subjects() -> None:
    forget = torch.diag(torch.tensor([1.0, 1.0, 0.0])).double()
    retain = torch.diag(torch.tensor([1.0, 0.0, 0.0])).double()
    own = contrast(forget, retain, torch.eye(3))
    # Nobody activates the third direction, so it is not a channel. Only subjects activate the second; all stays finite.
    shares = ((own.reads @ forget) * own.reads).sum(1).tolist()
    assert sorted(shares) == pytest.approx([0.5, 1.0])
    assert bool(own.reads.isfinite().all())
    assert bool(own.spans.isfinite().all())


def test_activations_that_are_all_zero_have_no_channels() -> None:
    nothing = torch.zeros(2, 2, dtype=torch.float64)
    assert contrast(nothing, nothing, torch.eye(2)).reads.shape == (0, 2)
    assert isinstance(contrast(nothing, nothing, torch.eye(2)), Channels)


def test_an_adapter_that_does_nothing_is_refused(task: ForgetTask) -> None:
    silent = task.adapter.replace(
        {name: tensor * (not name.endswith(UP)) for name, tensor in task.adapter.tensors.items()}
    )
    for basis in CANONICAL:
        with pytest.raises(InvalidTask, match="puts out nothing"):
            method(basis).run(replace(task, adapter=silent))


def test_moments_that_do_not_fit_are_refused_before_anything_is_read(
    task: ForgetTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ucan_basis, "MOST_MOMENT_BYTES", 10_000)
    with pytest.raises(InvalidTask, match="choose contrast_z"):
        method("contrast_x").run(task, on_step=lambda _: pytest.fail("something was read"))
    method("contrast_z").run(task)


@pytest.mark.parametrize("basis", CANONICAL)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "output_row"}, "goes with unit rank_channel, not output_row"),
        ({"utility": "wanda"}, "goes with utility energy or convex, not wanda"),
        ({"gap": "z_score"}, "choose another gap"),
    ],
)
def test_choices_that_need_the_adapters_own_channels_are_refused(
    basis: Basis, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        UcanConfig(basis=basis, **change)
