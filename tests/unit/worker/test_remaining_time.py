from __future__ import annotations

from datetime import timedelta

import pytest

from worker.remaining_time import suffices

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("left", "rung", "exact", "fits"),
    [
        # Twice an hour and a half.
        (3 * HOUR, HOUR, HOUR / 2, True),
        (3 * HOUR - timedelta(seconds=1), HOUR, HOUR / 2, False),
        # What nobody has measured is no constraint, but the other one still is.
        (2 * HOUR, None, HOUR, True),
        (HOUR, None, HOUR, False),
        (HOUR, HOUR, None, False),
        (timedelta(seconds=1), None, None, True),
        # Overdue: nothing that is known to take time fits.
        (-HOUR, HOUR, HOUR, False),
        (-HOUR, None, None, True),
    ],
)
def test_a_rung_needs_time_for_itself_and_for_the_exact_one_twice_over(
    left: timedelta, rung: timedelta | None, exact: timedelta | None, fits: bool
) -> None:
    assert suffices(left, rung=rung, exact=exact) is fits
