"""Yearly figures as the API shows them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.statistics.queries import YearFigures


class OutcomeStatistics(BaseModel):
    """The requests with one outcome: `erased`, `no_data`, `cancelled` or `denied`."""

    outcome: str
    requests: int
    median_days: float = Field(description="days from receipt until they were closed")


class YearStatistics(BaseModel):
    """The forget requests received in one calendar year in UTC.

    ``closed`` are completed, cancelled or denied, ``open`` are not. ``overdue`` missed their deadline, closed or not.
    """

    year: int
    received: int
    closed: int
    open: int
    overdue: int
    median_days: float | None = Field(
        description="days from receipt until they were closed, of all closed requests"
    )
    outcomes: list[OutcomeStatistics]

    @classmethod
    def of(cls, figures: YearFigures) -> YearStatistics:
        closed = sum(one.requests for one in figures.outcomes)
        return cls(
            year=figures.year,
            received=figures.received,
            closed=closed,
            open=figures.received - closed,
            overdue=figures.overdue,
            median_days=_rounded(figures.median_days),
            outcomes=[
                OutcomeStatistics(
                    outcome=one.outcome, requests=one.requests, median_days=round(one.median_days, 6)
                )
                for one in figures.outcomes
            ],
        )


class ErasureStatistics(BaseModel):
    """The figures of each year, the latest first."""

    years: list[YearStatistics]


def _rounded(days: float | None) -> float | None:
    """To about a tenth of a second. Two databases may differ in the digits behind."""
    return None if days is None else round(days, 6)
