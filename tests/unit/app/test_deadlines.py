from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock.deadlines import Regime, due_at
from app.forget_requests.deadlines import time_left

YEAR_9000 = datetime(9000, 1, 1)  # noqa: DTZ001  (hypothesis wants bounds without a zone)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("received", "due"),
    [
        (utc(2026, 11, 21, 8, 45), utc(2026, 12, 21, 23, 59, 59)),
        (utc(2026, 1, 31), utc(2026, 2, 28, 23, 59, 59)),
        (utc(2028, 1, 31), utc(2028, 2, 29, 23, 59, 59)),
        (utc(2026, 12, 31, 23, 59, 59), utc(2027, 1, 31, 23, 59, 59)),
        # 00:30 on 1 March in Berlin is still February in UTC: the earlier reading counts.
        (datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), utc(2026, 3, 28, 23, 59, 59)),
    ],
)
def test_due_one_calendar_month_after_receipt(received: datetime, due: datetime) -> None:
    assert due_at(Regime.GDPR, received) == due


@given(st.datetimes(max_value=YEAR_9000, timezones=st.just(UTC)))
def test_never_more_than_a_month_and_never_less_than_28_days(received: datetime) -> None:
    left = due_at(Regime.GDPR, received) - received
    assert timedelta(days=28) <= left < timedelta(days=32)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        due_at(Regime.GDPR, datetime(2026, 1, 1))  # noqa: DTZ001  (that is the point)


def test_time_left_turns_negative() -> None:
    assert time_left(utc(2026, 1, 1), utc(2026, 1, 2)) == timedelta(days=-1)
