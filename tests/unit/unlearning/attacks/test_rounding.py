from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from recommender import Adapter
from unlearning import ForgetTask
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.attacks.rounding import NF4_LEVELS, rounded
from unlearning.errors import InvalidEvaluation


def one(*rows: Sequence[float]) -> Adapter:
    return Adapter({}, {"lora_A.weight": torch.tensor(rows)})


def values(adapter: Adapter) -> Tensor:
    return adapter.tensors["lora_A.weight"]


def test_eight_bits_per_row_by_hand() -> None:
    # Steps of 1, then of 2; halves go to the even step; a row of zeros stays.
    found = values(rounded(one([127.0, -1.4, 0.5], [-254.0, 2.9, 5.2], [0.0, 0.0, 0.0])))
    assert found.tolist() == [[127.0, -1.0, 0.0], [-254.0, 2.0, 6.0], [0.0, 0.0, 0.0]]
    assert found.dtype == torch.float32


def test_four_bits_per_group_by_hand() -> None:
    row = [7.0] + [1.2] * 63 + [70.0, 12.0]
    found = values(rounded(one(row), 4))
    # The first group has steps of 1; the last, shorter one of 10.
    assert found.tolist() == [[7.0] + [1.0] * 63 + [70.0, 10.0]]


def test_nf4_by_hand() -> None:
    # Scaled by 2: 1, then 0.04 between levels 0 and 0.0796 (nearer the latter), -0.4 near -0.3949, 0.
    found = values(rounded(one([2.0, 0.08, -0.8, 0.0]), 4, levels="nf4"))
    expected = [2.0, 2 * 0.07958029955625534, -2 * 0.39491748809814453, 0.0]
    assert found.tolist()[0] == pytest.approx(expected)


def test_the_code_book_is_ascending_and_holds_zero_and_both_ends() -> None:
    assert len(NF4_LEVELS) == 16
    assert list(NF4_LEVELS) == sorted(NF4_LEVELS)
    assert (NF4_LEVELS[0], NF4_LEVELS[7], NF4_LEVELS[15]) == (-1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("bits", "levels", "most"), [(8, "uniform", 255), (4, "uniform", 15), (4, "nf4", 16)]
)
def test_rounding_is_bounded_and_changes_nothing_twice(bits: int, levels: str, most: int) -> None:
    weights = torch.randn(3, 60, generator=torch.Generator().manual_seed(0))
    once = rounded(one(*weights.tolist()), bits, levels=levels)
    assert all(len(row.unique()) <= most for row in values(once))
    widest = {255: 1 / 254, 15: 1 / 14, 16: (1 - 0.6961928009986877) / 2}[most]
    assert bool(
        ((values(once) - weights).abs() <= weights.abs().amax(-1, keepdim=True) * widest * 1.001).all()
    )
    torch.testing.assert_close(values(rounded(once, bits, levels=levels)), values(once))


def test_the_result_attaches_and_fewer_bits_move_it_further(task: ForgetTask) -> None:
    before = {name: tensor.clone() for name, tensor in task.adapter.tensors.items()}
    exact = torch.cat(item_log_likelihoods(task.base, task.adapter, task.forget))
    moved = [
        float((torch.cat(item_log_likelihoods(task.base, adapter, task.forget)) - exact).abs().mean())
        for adapter in (rounded(task.adapter), rounded(task.adapter, 4))
    ]
    assert 0 < moved[0] < moved[1] < 1
    assert all(torch.equal(task.adapter.tensors[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(("bits", "levels"), [(3, "uniform"), (8, "nf4"), (4, "fp4")])
def test_other_roundings_are_refused(bits: int, levels: str) -> None:
    with pytest.raises(InvalidEvaluation, match="bits must be"):
        rounded(one([1.0]), bits, levels=levels)
