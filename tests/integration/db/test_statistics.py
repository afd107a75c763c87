"""R-51: counts and median days of each year, the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median

import pytest
from sqlalchemy.orm import Session

from app.db.models import ForgetRequest, RequestStatus
from app.db.session import Database
from app.statistics import queries as statistics
from app.statistics.queries import YearFigures
from app.statistics.schemas import YearStatistics

NOW = datetime(2026, 6, 1, tzinfo=UTC)
_EPOCHS = count(1)


def add(
    session: Session,
    received: datetime,
    days: float | None,
    outcome: str | None,
    *,
    status: RequestStatus = RequestStatus.COMPLETED,
) -> None:
    epoch = next(_EPOCHS)
    ended = "completed_at" if status is RequestStatus.COMPLETED else "withdrawn_at"
    session.add(
        ForgetRequest(
            id=f"fr_{epoch:032}",
            subject_hmac=f"{epoch:064}",
            epoch=epoch,
            status=RequestStatus.QUEUED if days is None else status,
            outcome=outcome,
            requested_by="tests",
            received_at=received,
            due_at=received + timedelta(days=30),
            **{} if days is None else {ended: received + timedelta(days=days)},
        )
    )


def read(database: Database, year: int) -> YearFigures:
    with database.read() as session:
        return statistics.of_year(session, year, NOW)


def test_r51_without_requests_there_is_nothing_to_say(database: Database) -> None:
    with database.read() as session:
        assert statistics.years_with_requests(session) == []
    assert YearStatistics.of(read(database, 2026)).model_dump() == {
        "year": 2026, "received": 0, "closed": 0, "open": 0, "overdue": 0, "median_days": None, "outcomes": [],
    }  # fmt: skip


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_r51_the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle(
    database: Database, number: int
) -> None:
    durations = [7.0, 0.25, 3.5, 1.0, 29.0][:number]
    with database.unit_of_work() as session:
        for days in durations:
            add(session, NOW - timedelta(days=40), days, "erased")
    found = read(database, 2026)
    assert (found.outcomes[0].requests, found.received) == (number, number)
    assert found.median_days == pytest.approx(median(durations), abs=1e-7)
    assert found.outcomes[0].median_days == pytest.approx(median(durations), abs=1e-7)


def test_r51_each_year_and_outcome_is_counted_by_itself(database: Database) -> None:
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    with database.unit_of_work() as session:
        add(session, datetime(2024, 5, 1, tzinfo=UTC), 2, "erased")
        add(session, new_year - timedelta(microseconds=1), 4, "erased")
        add(session, new_year, 1, "erased")
        add(session, new_year, 31, "erased")  # too late
        add(session, new_year, 0.5, "no_data")
        add(session, new_year, 6, None, status=RequestStatus.DENIED)
        add(session, new_year, None, None)  # overdue
        add(session, NOW - timedelta(days=1), None, "erased")  # deletes already, is not completed
    with database.read() as session:
        assert statistics.years_with_requests(session) == [2024, 2025, 2026]
    assert read(database, 2025).median_days == pytest.approx(4, abs=1e-7)
    assert YearStatistics.of(read(database, 2026)).model_dump() == {
        "year": 2026, "received": 6, "closed": 4, "open": 2, "overdue": 2, "median_days": 3.5,
        "outcomes": [
            {"outcome": "denied", "requests": 1, "median_days": 6.0},
            {"outcome": "erased", "requests": 2, "median_days": 16.0},
            {"outcome": "no_data", "requests": 1, "median_days": 0.5},
        ],
    }  # fmt: skip
