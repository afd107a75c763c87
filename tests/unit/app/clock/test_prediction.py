"""R-50: when a request will be completed, from measured runs and the queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.clock.prediction import p95, predicted_completion

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEN_EACH = [timedelta(minutes=10)]


def minutes(*numbers: float) -> list[timedelta]:
    return [timedelta(minutes=number) for number in numbers]


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        (minutes(3), 3),
        (minutes(4, 1, 3, 2), 4),
        (minutes(*range(1, 21)), 19),
        (minutes(*range(1, 101)), 95),
        (minutes(*range(1, 102)), 96),
    ],
)
def test_r50_the_95th_percentile_by_nearest_rank(durations: list[timedelta], expected: int) -> None:
    assert p95(durations) == timedelta(minutes=expected)


def test_r50_without_a_finished_run_nothing_is_predicted() -> None:
    assert p95([]) is None
    assert predicted_completion(NOW, [], requests_ahead=0, requests_per_run=64) is None


@pytest.mark.parametrize(
    ("ahead", "running_for", "expected"),
    [
        (0, None, 10),
        (63, None, 10),  # the 64th of the next run
        (64, None, 20),
        (0, 4, 16),
        (130, 4, 36),
        (None, 4, 6),  # in the run that is running
        (None, 25, 0),  # which takes longer than most
        (0, 25, 10),
    ],
)
def test_r50_runs_follow_one_another(ahead: int | None, running_for: int | None, expected: int) -> None:
    since = None if running_for is None else NOW - timedelta(minutes=running_for)
    predicted = predicted_completion(
        NOW, TEN_EACH, requests_ahead=ahead, requests_per_run=64, running_since=since
    )
    assert predicted == NOW + timedelta(minutes=expected)
