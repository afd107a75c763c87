"""The budget for attenuation as the API and the dashboard show it."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.consolidations import queries as consolidations


class BudgetItemView(BaseModel):
    """One item of the budget. ``limit`` and ``left`` are null without a limit, or before a worker has announced it."""

    name: str
    spent: float
    limit: float | None
    left: float | None

    @classmethod
    def of(cls, name: str, spent: float, limit: float | None) -> BudgetItemView:
        return cls(
            name=name, spent=spent, limit=limit, left=None if limit is None else max(0.0, limit - spent)
        )


class BudgetView(BaseModel):
    """How much attenuation has added up since ``last_exact_fit``. A consolidation is due when an item is spent."""

    last_exact_fit: datetime | None
    items: list[BudgetItemView]

    @classmethod
    def read(cls, session: Session, now: datetime) -> BudgetView:
        spending = consolidations.spending(session)
        limits = consolidations.announced_budget(session)
        # Without an edit, the age does not count.
        age = (now - spending.since) / timedelta(days=1) if spending.since and spending.attenuations else 0.0
        spent = {
            "attenuated_subjects": spending.subjects,
            "attenuations": spending.attenuations,
            "age_days": age,
            "utility_loss": spending.utility_loss,
        }
        return cls(
            last_exact_fit=spending.since,
            items=[
                BudgetItemView.of(name, value, limits.get(f"max_{name}")) for name, value in spent.items()
            ],
        )
