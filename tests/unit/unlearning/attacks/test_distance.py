import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch

from recommender import Adapter, Interrupted, Scorer, attach
from unlearning import ForgetTask
from unlearning.attacks.distance import (
    jensen_shannon,
    kolmogorov_smirnov,
    kolmogorov_tail,
    mixture_divergence,
    nll_gap,
)
from unlearning.errors import InvalidEvaluation


def scaled(adapter: Adapter, factor: float) -> Adapter:
    return adapter.replace({name: tensor * factor for name, tensor in adapter.tensors.items()})


def test_the_gap_by_hand() -> None:
    candidate = [torch.tensor([-1.0, -4.0]), torch.tensor([-2.0])]
    refits = [
        [torch.tensor([-2.0, -1.0]), torch.tensor([-3.0])],
        [torch.tensor([-4.0, -3.0]), torch.tensor([-3.0])],
    ]
    found = nll_gap(candidate, refits)
    # NLL of the re-fits: means 3 and 2; 3. The candidate's 1 and 4; 2 differ by -2 and 2; -1.
    assert found.absolute.tolist() == [2.0, 1.0]
    assert found.signed.tolist() == [0.0, -1.0]


def test_the_gap_needs_refits_of_the_same_items() -> None:
    with pytest.raises(InvalidEvaluation, match="no re-fit"):
        nll_gap([torch.tensor([-1.0])], [])
    with pytest.raises(InvalidEvaluation, match="item by item"):
        nll_gap([torch.tensor([-1.0])], [[torch.tensor([-1.0, -1.0])]])


@pytest.mark.parametrize(
    ("value", "tail"),
    # Quantiles of Kolmogorov's distribution as printed in textbooks; the last is of the transformed series.
    [(0.8276, 0.5), (1.2238, 0.1), (1.3581, 0.05), (1.4802, 0.025), (1.6276, 0.01), (0.57117, 0.9)],
)
def test_kolmogorov_against_known_quantiles(value: float, tail: float) -> None:
    assert kolmogorov_tail(value) == pytest.approx(tail, abs=5e-5)


def test_kolmogorov_falls_from_one_to_zero_without_a_step() -> None:
    values = [kolmogorov_tail(step / 100) for step in range(400)]
    assert values[0] == values[10] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(values))
    assert kolmogorov_tail(1.0) == pytest.approx(kolmogorov_tail(1.0 - 1e-12), abs=1e-10)
    assert kolmogorov_tail(40.0) == 0.0


def test_two_samples_by_hand() -> None:
    found = kolmogorov_smirnov(torch.tensor([1.0, 2.0, 2.0, 5.0]), torch.tensor([2.0, 3.0, 4.0]))
    # After 2 the shares are 3/4 and 1/3, after 4 3/4 and 1: the gap is 5/12 at its widest.
    assert found.statistic == pytest.approx(5 / 12)
    assert found.p_value == pytest.approx(kolmogorov_tail(math.sqrt(12 / 7) * 5 / 12))
    assert (found.first, found.second) == (4, 3)


def test_equal_samples_and_disjoint_ones() -> None:
    sample = torch.arange(50.0)
    assert (kolmogorov_smirnov(sample, sample).statistic, kolmogorov_smirnov(sample, sample).p_value) == (
        0,
        1,
    )
    apart = kolmogorov_smirnov(sample, sample + 100)
    assert apart.statistic == 1.0
    # sqrt(25) = 5: the first term of the series alone, 2 exp(-50).
    assert apart.p_value == pytest.approx(2 * math.exp(-50))


def test_the_p_value_is_uniform_under_equality() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        kolmogorov_smirnov(
            torch.randn(200, generator=generator), torch.randn(300, generator=generator)
        ).p_value
        for _ in range(300)
    ]
    assert sum(value < 0.2 for value in found) / 300 == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize("sample", [[], [math.nan], [math.inf]])
def test_samples_must_be_numbers(sample: Sequence[float]) -> None:
    with pytest.raises(InvalidEvaluation):
        kolmogorov_smirnov(torch.tensor(sample), torch.tensor([1.0]))


def test_jensen_shannon_by_hand() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.3, 0.7]])
    second = torch.tensor([[0.0, 1.0], [0.5, 0.5], [0.3, 0.7]])
    # Disjoint: ln 2. m = (3/4, 1/4): ln(4/3) / 2 + (ln(2/3) + ln 2) / 4. Equal: 0.
    expected = [math.log(2), math.log(4 / 3) / 2 + math.log(4 / 3) / 4, 0.0]
    assert jensen_shannon(first.double(), second.double()).tolist() == pytest.approx(expected, abs=1e-7)


def test_the_divergence_is_that_of_whole_distributions(task: ForgetTask) -> None:
    sequences, targets = [(3, 1, 4, 15), (9, 2)], [(False, True, False, True), (True, False)]
    refits = [scaled(task.adapter, 0.5), scaled(task.adapter, 0.2)]
    found = mixture_divergence(task.base, task.adapter, refits, sequences, targets, batch_size=1)
    prefixes: list[tuple[int, ...]] = [(3,), (3, 1, 4), ()]
    own, first, second = (
        Scorer(attach(task.base, adapter), task.base.style).item_log_probs(prefixes).double().exp()
        for adapter in (task.adapter, *refits)
    )
    expected = jensen_shannon(own, (first + second) / 2)
    assert found.positions == 3
    assert found.mean == pytest.approx(float(expected.mean()), rel=1e-4)
    assert found.users.tolist() == pytest.approx(
        [float(expected[:2].mean()), float(expected[2])], rel=1e-4, abs=1e-9
    )
    assert 0 < found.mean <= math.log(2)


def test_a_candidate_does_not_diverge_from_itself(task: ForgetTask) -> None:
    found = mixture_divergence(task.base, task.adapter, [task.adapter] * 2, task.forget)
    assert found.mean == 0.0
    assert len(found.users) == len(task.forget)


def test_the_divergence_needs_a_refit_and_can_be_stopped(task: ForgetTask) -> None:
    with pytest.raises(InvalidEvaluation, match="no re-fit"):
        mixture_divergence(task.base, task.adapter, [], task.forget)
    with pytest.raises(Interrupted):
        mixture_divergence(task.base, task.adapter, [task.adapter], task.forget, should_stop=lambda: True)
