"""GET /statistics/erasures: what a yearly report about erasures needs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.db.clock import database_now
from app.dependencies import GatewayDependency
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.statistics import queries as statistics
from app.statistics.schemas import ErasureStatistics, YearStatistics

router = APIRouter(tags=["statistics"], route_class=JsonRoute)


@router.get("/statistics/erasures", responses=problems())
def read_erasure_statistics(
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.FORGET_READ))],
    year: Annotated[
        int | None, Query(ge=2000, le=9000, description="this year only; every year with requests by default")
    ] = None,
) -> ErasureStatistics:
    """Count a year's forget requests and give the median of the days that they took, for each outcome.

    These are the figures that section 7102 of the CCPA regulations asks for. A year is a calendar year in UTC, and a
    request belongs to the year in which it was received.
    """
    with gateway.database.read() as session:
        now = database_now(session)
        years = statistics.years_with_requests(session) if year is None else [year]
        figures = [statistics.of_year(session, one, now) for one in reversed(years)]
    return ErasureStatistics(years=[YearStatistics.of(one) for one in figures])
