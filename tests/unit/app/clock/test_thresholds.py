"""R-50: when to warn about a deadline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock.thresholds import PERCENTS, last_passed, warnings

RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)
DUE = RECEIVED + timedelta(hours=100)


def test_r50_four_instants() -> None:
    found = [(percent, (at - RECEIVED) / timedelta(hours=1)) for percent, at in warnings(RECEIVED, DUE)]
    assert found == [(50, 50), (75, 75), (90, 90), (100, 100)]


@pytest.mark.parametrize(
    ("hours", "percent"),
    [(0, None), (50, None), (51, 50), (75, 50), (89, 75), (91, 90), (100, 90), (101, 100), (9999, 100)],
)
def test_r50_the_last_one_passed(hours: int, percent: int | None) -> None:
    passed = last_passed(warnings(RECEIVED, DUE), RECEIVED + timedelta(hours=hours))
    assert (passed and passed.percent) == percent


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  (that is the point)
    for received, due in ((naive, DUE), (RECEIVED, naive)):
        with pytest.raises(ValueError, match="must carry a time zone"):
            warnings(received, due)


INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(INSTANTS, st.timedeltas(timedelta(), timedelta(days=400)))
def test_r50_they_are_in_order_between_receipt_and_deadline(received: datetime, time: timedelta) -> None:
    found = warnings(received, received + time)
    assert [one.percent for one in found] == list(PERCENTS)
    instants = [one.at for one in found]
    assert [received, *instants] == sorted([received, *instants])
    assert instants[-1] == received + time
