from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recommender import Split
from unlearning import ForgetTask
from unlearning.attacks.membership import (
    Group,
    calibrated_scores,
    loss_scores,
    membership_attack,
    min_k_scores,
    population_attacks,
)
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.errors import InvalidEvaluation

SCORES = st.lists(st.floats(-5, 5), min_size=1, max_size=250)


def users(*rows: Sequence[float]) -> list[Tensor]:
    return [torch.tensor(row) for row in rows]


def test_scores_by_hand() -> None:
    model, base = users([-1.0, -3.0], [-0.5]), users([-2.0, -6.0], [-0.25])
    assert loss_scores(model).tolist() == [-2.0, -0.5]
    # Means of (-1 + 2, -3 + 6) and of (-0.5 + 0.25).
    assert calibrated_scores(model, base).tolist() == [2.0, -0.25]


def test_min_k_takes_the_least_likely_items() -> None:
    model = users([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0, -10.0], [-1.0, -4.0])
    # Two of ten: (-10 - 9) / 2. A fifth of two items is none, so one is taken.
    assert min_k_scores(model).tolist() == [-9.5, -4.0]
    assert min_k_scores(model, k=1.0).tolist() == loss_scores(model).tolist()
    assert min_k_scores(users([-float(n) for n in range(100)]), k=0.29).tolist() == [-85.0]  # 71 to 99


@pytest.mark.parametrize("k", [0.0, 1.1, -1.0])
def test_min_k_needs_a_share(k: float) -> None:
    with pytest.raises(InvalidEvaluation, match="share"):
        min_k_scores(users([-1.0]), k)


def test_few_non_members_let_no_false_positive_pass() -> None:
    found = membership_attack(torch.tensor([3.0, 4.0, 5.0, 1.0]), torch.tensor([0.0, 4.0, 2.0]))
    # Wins: 3 beats 0 and 2; 4 beats 0 and 2, ties with 4; 5 beats all; 1 beats 0: 2 + 2.5 + 3 + 1 of 12.
    assert found.auc == pytest.approx(8.5 / 12)
    # Only 5 lies above the highest non-member; the tie does not count. Chance: one of four ranks.
    assert (found.tpr_at_1_fpr, found.tpr_floor) == (0.25, 0.25)
    assert (found.members, found.non_members) == (4, 3)


@pytest.mark.parametrize(("count", "allowed"), [(99, 0), (100, 1), (199, 1), (200, 2)])
def test_one_per_cent_is_rounded_down(count: int, allowed: int) -> None:
    non_members = torch.arange(count, dtype=torch.float64)
    # One member between each two of the five highest non-members, and one above them all.
    members = non_members[-5:] + 0.5
    found = membership_attack(members, non_members)
    assert found.tpr_at_1_fpr == pytest.approx((1 + allowed) / 5)
    assert found.tpr_floor == pytest.approx((allowed + 1) / (count + 1))


def test_low_scores_are_a_signal_too() -> None:
    found = membership_attack(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    assert (found.auc, found.auc_two_sided) == (0.0, 1.0)


@given(SCORES, SCORES)
def test_at_most_one_per_cent_of_non_members_pass(members: list[float], non_members: list[float]) -> None:
    first, second = torch.tensor(members), torch.tensor(non_members)
    found = membership_attack(first, second)
    if found.tpr_at_1_fpr:
        # The lowest member that passes; no more than 1 % of the non-members reach even that.
        lowest = first.sort(descending=True).values[round(found.tpr_at_1_fpr * len(first)) - 1]
        assert int((second >= lowest).sum()) <= len(second) / 100
    assert 0.5 <= found.auc_two_sided <= 1.0
    assert membership_attack(second, first).auc == pytest.approx(1 - found.auc)


@pytest.mark.parametrize("scores", [[], [float("nan")], [float("inf")]])
def test_scores_must_be_numbers(scores: list[float]) -> None:
    with pytest.raises(InvalidEvaluation, match="finite scores"):
        membership_attack(torch.tensor(scores), torch.tensor([1.0]))
    with pytest.raises(InvalidEvaluation, match="finite scores"):
        membership_attack(torch.tensor([1.0]), torch.tensor(scores))


def test_every_attack_at_every_level_by_hand() -> None:
    members = Group(users([-1.0, -2.0], [-3.0]), users([-4.0, -5.0], [-3.5]))
    non_members = Group(users([-2.5, -2.5]), users([-2.5, -2.5]))
    found = population_attacks(members, non_members)
    assert {name: result.auc for name, result in found.items()} == {
        "loss.user": 0.5,  # -1.5 and -3 against -2.5
        "loss.item": pytest.approx(2 / 3),  # -1, -2, -3 against -2.5
        "base_calibrated.user": 1.0,  # 3 and 0.5 against 0
        "base_calibrated.item": 1.0,
        "min_k.user": 0.5,  # -2 and -3 against -2.5
    }
    assert (found["loss.user"].members, found["loss.item"].members) == (2, 3)


def test_a_group_needs_the_same_items_twice() -> None:
    with pytest.raises(InvalidEvaluation):
        Group(users([-1.0, -2.0]), users([-1.0]))


def test_members_of_the_parent_are_found(task: ForgetTask, splits: tuple[Split, ...]) -> None:
    # Users the parent never saw share its tastes, so base and taste alone do not tell them apart.
    outsiders = [tuple(reversed(split.train)) for split in splits[:20]]
    groups = []
    for sequences in ([split.train for split in splits[:20]], outsiders):
        model, base = (
            item_log_likelihoods(task.base, adapter, sequences) for adapter in (task.adapter, None)
        )
        groups.append(Group(model, base))
    assert population_attacks(*groups)["base_calibrated.user"].auc > 0.6
