"""When a consolidation is due: a policy's budget for attenuation, and the rule that says it is spent.

An attenuated adapter was edited, not re-fitted. The edit is mitigation, and edits accumulate. A consolidation replaces
the adapter by an exact re-fit. The budget limits how much attenuation may accumulate before one is due.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from unlearning.errors import InvalidPolicy

BudgetItem = Literal["subjects", "attenuations", "age", "utility"]


@dataclass(frozen=True)
class ConsolidationBudget:
    """Limits between two exact fits; None for no limit.

    Attributes:
        max_attenuated_subjects: subjects who were attenuated and are not yet left out of a fit.
        max_attenuations: versions made by editing their parent.
        max_age_days: days since the last exact fit. It counts only if something was attenuated since; otherwise there
            is nothing to re-fit for.
        max_utility_loss: relative loss of held-out NDCG@10, or of AUC - 0.5, against the last exact version.

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
    """What has accumulated since the last exact fit. `utility_loss` is below 0 if the edits gained utility."""

    subjects: int
    attenuations: int
    age_days: float
    utility_loss: float


def consolidation_due(budget: ConsolidationBudget, spent: Spent) -> BudgetItem | None:
    """The first limit that is reached; None while there is budget left. Pure.

    While the last exact fit has not been edited nothing is due, however old it is.
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
