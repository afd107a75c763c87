"""R-48: due dates and extensions, by hand and over every start day of several years in several zones."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock.deadlines import (
    ExtensionRefused,
    Refused,
    Regime,
    acknowledge_by,
    due_at,
    extended,
    started_at,
)
from app.clock.zones import civil_day, end_of_day, zone_named

# Far east and far west, half and quarter hours, clocks that change at 2:00, at midnight, and in the last hour of a day.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "America/Los_Angeles",
    "America/Santiago",
    "America/Nuuk",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)
# 2024 and 2028 are leap years.
FIRST_DAY, LAST_DAY = date(2023, 12, 1), date(2028, 3, 31)


def local(zone: str, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=zone_named(zone))  # type: ignore[arg-type, misc]


def shown(instant: datetime, zone: str) -> str:
    return instant.astimezone(zone_named(zone)).replace(tzinfo=None).isoformat()


@pytest.mark.parametrize(
    ("zone", "received", "due"),
    [
        ("Europe/Berlin", (2026, 11, 21, 3, 40), "2026-12-21T23:59:59"),
        ("Europe/Berlin", (2026, 1, 31), "2026-02-28T23:59:59"),
        ("Europe/Berlin", (2028, 1, 31), "2028-02-29T23:59:59"),
        ("Europe/Berlin", (2026, 12, 31, 23, 59, 59), "2027-01-31T23:59:59"),
        # The zone's day of receipt, not UTC's: this is 31 January in UTC.
        ("Pacific/Kiritimati", (2026, 2, 1, 0, 30), "2026-03-01T23:59:59"),
        # 23:59:59 of this day is skipped: the clock goes from 22:59:59 to midnight.
        ("America/Nuuk", (2026, 2, 28, 12), "2026-03-28T22:59:59"),
    ],
)
def test_r48_one_month_in_the_zone(zone: str, received: tuple[int, ...], due: str) -> None:
    for regime in (Regime.GDPR, Regime.UK_GDPR):
        assert shown(due_at(regime, local(zone, *received), zone), zone) == due


def test_r48_a_repeated_last_second_is_taken_the_first_time() -> None:
    """In Nuuk the last hour of 24 October 2026 comes twice, first with one hour behind UTC."""
    assert due_at(Regime.GDPR, local("America/Nuuk", 2026, 9, 24), "America/Nuuk") == datetime(
        2026, 10, 25, 0, 59, 59, tzinfo=UTC
    )


def test_r48_ccpa_and_own_days_are_calendar_days() -> None:
    received = local("America/Los_Angeles", 2026, 10, 1, 23, 0)
    due = due_at(Regime.CCPA, received, "America/Los_Angeles")
    assert shown(due, "America/Los_Angeles") == "2026-11-15T23:59:59"
    assert due.isoformat() == "2026-11-16T07:59:59+00:00"
    own = due_at(Regime.POLICY, received, "America/Los_Angeles", 1)
    assert shown(own, "America/Los_Angeles") == "2026-10-02T23:59:59"
    assert due_at(Regime.POLICY, received, policy_days=365) == datetime(2027, 10, 2, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("days", [None, 0, -1, 366])
def test_r48_days_of_a_policy_have_limits(days: int | None) -> None:
    with pytest.raises(ValueError, match="takes 1 to 365 days"):
        due_at(Regime.POLICY, datetime(2026, 1, 1, tzinfo=UTC), "UTC", days)


@pytest.mark.parametrize(
    "name",
    ["", "Europe/Atlantis", "../zones", "/etc/localtime", "localtime", "europe/berlin", "America", "GMT+25"],
)
def test_r48_an_unknown_zone_is_refused_without_quoting_it(name: str) -> None:
    with pytest.raises(ValueError, match="IANA name") as refused:
        due_at(Regime.GDPR, datetime(2026, 1, 1, tzinfo=UTC), name)
    assert not name or name not in str(refused.value)


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  (that is the point)
    aware = naive.replace(tzinfo=UTC)
    for call in (
        lambda: due_at(Regime.GDPR, naive),
        lambda: started_at(naive, None),
        lambda: started_at(aware, naive),
    ):
        with pytest.raises(ValueError, match="must carry a time zone"):
            call()


def test_r49_what_the_caller_says_only_shortens() -> None:
    received = datetime(2026, 5, 20, 12, tzinfo=UTC)
    assert started_at(received, None) == received
    assert started_at(received, received - timedelta(days=3)) == received - timedelta(days=3)
    assert started_at(received, received + timedelta(microseconds=1)) == received


@pytest.mark.parametrize("zone", ZONES)
def test_r48_every_start_day_has_its_own_last_day(zone: str) -> None:
    """Never before receipt, the same civil day, and monotone: nothing received later is due earlier."""
    where = zone_named(zone)
    before: dict[Regime, datetime] = {}
    for ordinal in range(FIRST_DAY.toordinal(), LAST_DAY.toordinal() + 1):
        day = date.fromordinal(ordinal)
        month_end = calendar.monthrange(day.year + day.month // 12, day.month % 12 + 1)[1]
        # In Nuuk the 24th hour is missing on one day of a year.
        moments = (time(), time(ordinal % 23, 59, 59), time(22, 59, 59, 999999))
        for regime in Regime:
            dues = {due_at(regime, datetime.combine(day, moment, where), zone, 10) for moment in moments}
            assert len(dues) == 1
            due = dues.pop()
            last = due.astimezone(where).date()
            if regime in (Regime.GDPR, Regime.UK_GDPR):
                assert (last.month - day.month) % 12 == 1
                assert last.day == min(day.day, month_end)
            else:
                assert (last - day).days == (45 if regime is Regime.CCPA else 10)
            # The end of the day: two hours later it is another one, also where the last hour is skipped or repeated.
            assert (due + timedelta(hours=1, seconds=1)).astimezone(where).date() > last
            assert before.get(regime, due) <= due
            before[regime] = due


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns"])
def test_r48_every_hour_of_a_leap_year(zone: str) -> None:
    where, start = zone_named(zone), datetime(2028, 1, 1, tzinfo=UTC)
    for hour in range(366 * 24):
        received = start + timedelta(hours=hour)
        day = received.astimezone(where)
        last = due_at(Regime.GDPR, received, zone).astimezone(where)
        assert (last.month - day.month) % 12 == 1
        assert last.day == day.day or (last + timedelta(days=1)).day == 1
        assert last.time() == time(23, 59, 59)


INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    INSTANTS, st.timedeltas(timedelta(), timedelta(days=2)), st.sampled_from(ZONES), st.sampled_from(Regime)
)
def test_r48_later_receipt_is_never_due_earlier(
    received: datetime, later: timedelta, zone: str, regime: Regime
) -> None:
    due = due_at(regime, received, zone, 30)
    assert received < due <= due_at(regime, received + later, zone, 30)
    assert timedelta(days=27) < due - received < timedelta(days=47)


def test_r48_a_clock_put_back_over_midnight_does_not_bring_an_earlier_deadline() -> None:
    """Until 2011 the clock of St. John's went back an hour at 0:01, and showed the end of the day before again."""
    zone = "America/St_Johns"
    first = datetime(2009, 11, 1, 2, 30, 30, tzinfo=UTC)
    again = first + timedelta(minutes=30)
    assert [shown(first, zone), shown(again, zone)] == ["2009-11-01T00:00:30", "2009-10-31T23:30:30"]
    assert due_at(Regime.GDPR, first, zone) == due_at(Regime.GDPR, again, zone)
    assert civil_day(first, zone_named(zone)) == date(2009, 10, 31)


def test_r48_a_day_that_a_zone_skips_ends_with_the_day_before() -> None:
    """Samoa had no 30 December 2011."""
    assert shown(end_of_day(date(2011, 12, 30), zone_named("Pacific/Apia")), "Pacific/Apia") == (
        "2011-12-29T23:59:59"
    )


@given(INSTANTS)
def test_the_default_clock_is_gdpr_in_utc(received: datetime) -> None:
    day = due_at(Regime.GDPR, received)
    assert (day.hour, day.minute, day.second, day.tzinfo) == (23, 59, 59, UTC)


def grant(regime: Regime, received: datetime, zone: str = "UTC", days: int | None = None) -> datetime:
    due = due_at(regime, received, zone, 30)
    return extended(regime, received, zone, due=due, now=due, already=False, policy_days=days)


@pytest.mark.parametrize(
    ("regime", "received", "limit"),
    [
        (Regime.GDPR, (2026, 1, 31), "2026-04-30T23:59:59"),
        (Regime.UK_GDPR, (2027, 11, 30), "2028-02-29T23:59:59"),
        (Regime.GDPR, (2026, 10, 5), "2027-01-05T23:59:59"),
        (Regime.CCPA, (2026, 1, 1), "2026-04-01T23:59:59"),
    ],
)
def test_r48_an_extension_goes_to_the_legal_limit(
    regime: Regime, received: tuple[int, ...], limit: str
) -> None:
    for zone in ("UTC", "Europe/Berlin"):
        assert shown(grant(regime, local(zone, *received), zone), zone) == limit


def test_r48_a_policy_says_whether_and_how_far_it_extends() -> None:
    received = datetime(2026, 1, 1, tzinfo=UTC)
    assert grant(Regime.POLICY, received, days=31) == datetime(2026, 2, 1, 23, 59, 59, tzinfo=UTC)
    for days in (None, 30, 1):
        with pytest.raises(ExtensionRefused) as refused:
            grant(Regime.POLICY, received, days=days)
        assert refused.value.reason is Refused.NOT_ALLOWED
    with pytest.raises(ValueError, match="takes 1 to 365 days"):
        grant(Regime.POLICY, received, days=366)


def test_r19_one_extension_and_only_before_the_deadline() -> None:
    received = datetime(2026, 1, 31, tzinfo=UTC)
    due = due_at(Regime.GDPR, received)

    def refusal(**changed: object) -> Refused:
        terms = {"due": due, "now": due, "already": False, **changed}
        with pytest.raises(ExtensionRefused) as refused:
            extended(Regime.GDPR, received, **terms)  # type: ignore[arg-type]
        return refused.value.reason

    assert refusal(already=True) is Refused.ALREADY_EXTENDED
    assert refusal(now=due + timedelta(microseconds=1)) is Refused.PAST_DUE
    # The present deadline is the limit already.
    assert refusal(due=grant(Regime.GDPR, received)) is Refused.NOT_ALLOWED


@given(INSTANTS, st.sampled_from(ZONES))
def test_r48_an_extension_is_later_and_at_most_three_months_from_receipt(
    received: datetime, zone: str
) -> None:
    due, limit = due_at(Regime.GDPR, received, zone), grant(Regime.GDPR, received, zone)
    assert due < limit
    assert limit - received < timedelta(days=93, hours=2)


def test_the_rules_are_those_of_the_package() -> None:
    zone = zone_named("Europe/Berlin")
    assert zone is zone_named("Europe/Berlin")
    assert (zone.key, zone is ZoneInfo("Europe/Berlin")) == ("Europe/Berlin", False)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ((2026, 1, 2, 12), "2026-01-16T23:59:59"),  # a Friday
        ((2026, 1, 3, 12), "2026-01-16T23:59:59"),  # a Saturday, from which nothing counts before Monday
        ((2026, 1, 4, 23), "2026-01-16T23:59:59"),
        ((2026, 1, 5, 0), "2026-01-19T23:59:59"),
    ],
)
def test_r48_the_ccpa_wants_a_request_acknowledged_within_ten_business_days(
    received: tuple[int, ...], expected: str
) -> None:
    zone = "America/Los_Angeles"
    found = acknowledge_by(Regime.CCPA, local(zone, *received), zone)
    assert found is not None
    assert shown(found, zone) == expected


@pytest.mark.parametrize("regime", [Regime.GDPR, Regime.UK_GDPR, Regime.POLICY])
def test_r48_no_other_regime_sets_a_date_for_that(regime: Regime) -> None:
    assert acknowledge_by(regime, datetime(2026, 1, 1, tzinfo=UTC)) is None


@given(day=st.dates(FIRST_DAY, LAST_DAY), zone=st.sampled_from(ZONES))
def test_r48_ten_weekdays_lie_between_receipt_and_the_last_day_for_acknowledging(
    day: date, zone: str
) -> None:
    received = datetime.combine(day, time(12), zone_named(zone))
    found = acknowledge_by(Regime.CCPA, received, zone)
    assert found is not None
    last = civil_day(found, zone_named(zone))
    between = [day + timedelta(days=one) for one in range(1, (last - day).days + 1)]
    assert sum(one.weekday() < 5 for one in between) == 10
    assert last.weekday() < 5
