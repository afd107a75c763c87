"""When attenuation has been going on for long enough: the budget of a policy, and the rule that says it is spent.

An attenuated adapter was edited, not re-fitted: the edit is mitigation, and edits add up. A consolidation replaces the
adapter by an exact re-fit. The budget says how much attenuation may add up before one is due.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from unlearning.errors import InvalidPolicy

BudgetItem = Literal["subjects", "attenuations", "age", "utility"]


@dataclass(frozen=True)
class ConsolidationBudget:
    """Limits on what adds up between two exact fits; None where there is no limit.

    Attributes:
        max_attenuated_subjects: subjects whose memory was edited down and not yet left out of a fit.
        max_attenuations: versions made by an edit of their parent.
        max_age_days: days since the last exact fit. Counts only if something was attenuated since: otherwise nothing
            waits for a re-fit.
        max_utility_loss: relative loss of held-out NDCG@10 against the last exact version.

    Raises:
        InvalidPolicy: a limit that is not above 0.
    """

    max_attenuated_subjects: int | None = 50
    max_attenuations: int | None = 20
    max_age_days: float | None = 30.0
    max_utility_loss: float | None = 0.1

    def __post_init__(self) -> None:
        for item in fields(self):
            limit = getattr(self, item.name)
            if limit is not None and not 0 < limit < math.inf:
                raise InvalidPolicy(f"consolidation.{item.name} must be greater than 0 or null, not {limit}")


@dataclass(frozen=True)
class Spent:
    """What has added up since the last exact fit. `utility_loss` is below 0 where the edits gained utility."""

    subjects: int
    attenuations: int
    age_days: float
    utility_loss: float


def consolidation_due(budget: ConsolidationBudget, spent: Spent) -> BudgetItem | None:
    """The first limit that is reached, None while there is budget left. Pure.

    After an exact fit nothing is due, however old it grows: there is no edit to replace.
    """
    if spent.attenuations == 0:
        return None
    limits: tuple[tuple[BudgetItem, float | None, float], ...] = (
        ("subjects", budget.max_attenuated_subjects, spent.subjects),
        ("attenuations", budget.max_attenuations, spent.attenuations),
        ("age", budget.max_age_days, spent.age_days),
        ("utility", budget.max_utility_loss, spent.utility_loss),
    )
    return next((item for item, limit, value in limits if limit is not None and value >= limit), None)
