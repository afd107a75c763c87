import math

import pytest
import torch

from recommender import Adapter, Interrupted, Scorer, attach
from unlearning import ForgetTask
from unlearning.attacks.distance import jensen_shannon, mixture_divergence, nll_gap
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
