"""Latencies by the hour: sums of counts, and percentiles by the upper end of a step."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram

from app.db.models import LatencyHour
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.latencies import history
from app.latencies.history import BOUNDS, Timed, by_hour, percentile
from app.latencies.recorder import LatencyRecorder
from app.metrics import counts_of

NOON = datetime(2026, 11, 30, 12, 34, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = Database(open_database(f"sqlite:///{tmp_path}/lethe.sqlite3"))
    migrate(opened.engine)
    return opened


def counted(**at: int) -> list[int]:
    """Counts by the place of their step, like ``at2=3``."""
    return [at.get(f"at{number}", 0) for number in range(len(BOUNDS))]


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        (counted(), 0.5, None),
        (counted(at0=1), 0.5, 0.005),
        (counted(at0=1, at2=1), 0.5, 0.005),
        (counted(at0=1, at2=2), 0.5, 0.025),
        (counted(at0=95, at3=5), 0.95, 0.005),
        (counted(at0=94, at3=6), 0.95, 0.05),
        (counted(at14=1), 0.95, math.inf),
    ],
)
def test_a_percentile_is_the_upper_end_of_its_step(
    counts: list[int], share: float, expected: float | None
) -> None:
    assert percentile(counts, share) == expected


def test_hours_of_all_replicas_add_up_and_old_ones_are_dropped(database: Database) -> None:
    with database.unit_of_work() as session:
        for replica, at in (("a", NOON), ("a", NOON), ("b", NOON), ("a", NOON - timedelta(hours=1))):
            history.add(session, replica, Timed.SUPPRESSION, counted(at1=2), at)
        history.add(session, "a", Timed.RECOMMENDATION, counted(at0=1), NOON - timedelta(days=40))
    with database.read() as session:
        before, hour, present = by_hour(session, Timed.SUPPRESSION, NOON, hours=3)
    assert (before.count, before.median) == (0, None)
    assert (hour.count, present.count, present.p95) == (2, 6, 0.01)
    assert present.hour == NOON.replace(minute=0)
    with database.unit_of_work() as session:
        history.drop_old(session, NOON)
        assert session.query(LatencyHour).filter_by(what=Timed.RECOMMENDATION).count() == 0


def test_only_what_is_new_is_written(database: Database) -> None:
    timed = Histogram("lethe_tests_seconds", "Of these tests.", registry=CollectorRegistry())
    recorder = LatencyRecorder(database, "a", {Timed.RECOMMENDATION: lambda: counts_of(timed)})
    for seconds in (0.001, 0.03, 99.0):
        timed.observe(seconds)
        recorder.record()
    recorder.record()
    with database.read() as session:
        (row,) = session.query(LatencyHour).all()
    assert row.counts == counted(at0=1, at3=1, at14=1)
