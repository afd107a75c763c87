"""When attenuation has used up its budget."""

from dataclasses import replace

import pytest

from unlearning import ConsolidationBudget, Spent, consolidation_due
from unlearning.errors import InvalidPolicy

BUDGET = ConsolidationBudget(
    max_attenuated_subjects=50, max_attenuations=20, max_age_days=30.0, max_utility_loss=0.1
)
LITTLE = Spent(subjects=49, attenuations=19, age_days=29.9, utility_loss=0.099)


def test_nothing_is_due_while_there_is_budget_left() -> None:
    assert consolidation_due(BUDGET, LITTLE) is None


@pytest.mark.parametrize(
    ("change", "item"),
    [
        ({"subjects": 50}, "subjects"),
        ({"attenuations": 20}, "attenuations"),
        ({"age_days": 30.0}, "age"),
        ({"utility_loss": 0.1}, "utility"),
        ({"utility_loss": 0.5, "subjects": 60}, "subjects"),
    ],
)
def test_each_limit_is_reached_by_itself_and_the_first_is_named(change: dict[str, float], item: str) -> None:
    assert consolidation_due(BUDGET, replace(LITTLE, **change)) == item  # type: ignore[arg-type]


def test_age_alone_is_no_reason_after_an_exact_fit() -> None:
    assert consolidation_due(BUDGET, Spent(0, 0, 4000.0, 0.0)) is None


def test_a_single_edit_is_enough_for_a_re_fit() -> None:
    assert consolidation_due(BUDGET, Spent(50, 1, 0.0, 0.0)) == "subjects"


def test_the_budget_of_a_policy_that_names_none() -> None:
    assert ConsolidationBudget() == BUDGET


@pytest.mark.parametrize("subjects", [0, 1])
def test_a_gain_of_utility_is_no_loss(subjects: int) -> None:
    assert consolidation_due(BUDGET, Spent(subjects, 1, 0.0, -0.5)) is None


def test_a_limit_of_null_is_never_reached() -> None:
    unlimited = ConsolidationBudget(None, None, None, None)
    assert consolidation_due(unlimited, Spent(10**6, 10**6, 1e6, 1.0)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"max_attenuated_subjects": 0},
        {"max_attenuations": -1},
        {"max_age_days": 0.0},
        {"max_utility_loss": float("nan")},
        {"max_age_days": float("inf")},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InvalidPolicy, match="must be greater than 0 or null"):
        replace(BUDGET, **change)  # type: ignore[arg-type]
