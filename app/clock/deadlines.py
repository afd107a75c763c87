"""When a forget request is due under a regime, and how far that can be extended once."""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.clock.zones import civil_day, end_of_day, require_aware, zone_named

_MONTH, _EXTENDED_MONTHS = 1, 3
_CCPA_DAYS, _CCPA_EXTENDED_DAYS = 45, 90
_CCPA_BUSINESS_DAYS, _SATURDAY = 10, 5
_MOST_POLICY_DAYS = 365


class Regime(StrEnum):
    """The rules that set a request's deadline."""

    GDPR = "gdpr"
    UK_GDPR = "uk_gdpr"
    CCPA = "ccpa"
    POLICY = "policy"  # the operator's own number of days


class Refused(StrEnum):
    """Why a deadline is not extended."""

    ALREADY_EXTENDED = "already_extended"
    PAST_DUE = "past_due"
    NOT_ALLOWED = "not_allowed"


class ExtensionRefused(Exception):
    """The deadline stays. ``reason`` says why."""

    def __init__(self, reason: Refused) -> None:
        super().__init__(reason)
        self.reason = reason


def started_at(received_at: datetime, requested_at: datetime | None) -> datetime:
    """The start of the clock. The caller can only shorten the time: an instant after receipt is ignored."""
    require_aware(received_at)
    return received_at if requested_at is None else min(received_at, require_aware(requested_at))


def due_at(
    regime: Regime, received_at: datetime, zone: str = "UTC", policy_days: int | None = None
) -> datetime:
    """The last second of the last day for the answer, in the subject's zone; the day of receipt is of that zone too.

    Nothing that happens later moves the result, except one extension (invariant I11). Sources:

    - GDPR and UK GDPR, Article 12(3): one calendar month. The same-numbered day of the next month, or else its last
      day. A weekend or a holiday does not extend it, which is stricter than Regulation 1182/71.
    - CCPA regulations, section 7021(b): 45 calendar days, which the verification of identity does not stop.

    Args:
        regime: the rules.
        received_at: an aware instant, see `started_at`.
        zone: an IANA name.
        policy_days: for `Regime.POLICY` only, 1 to 365 calendar days.

    Returns:
        The instant in UTC.

    Raises:
        ValueError: the zone is unknown, the instant has no zone, or the number of days is missing or out of range.
    """
    return _end_of_last_day(regime, received_at, zone, policy_days, months=_MONTH, ccpa_days=_CCPA_DAYS)


def acknowledge_by(regime: Regime, received_at: datetime, zone: str = "UTC") -> datetime | None:
    """Until when the person must be told that the request has arrived; None if the regime sets no such date.

    CCPA regulations, section 7021(a): 10 business days. Here these are Monday to Friday: a holiday would move the date
    back, so leaving holidays out is stricter.

    Args:
        regime: the rules.
        received_at: an aware instant, see `started_at`.
        zone: an IANA name.

    Returns:
        The last second of that day, in UTC.

    Raises:
        ValueError: the zone is unknown, or the instant has no zone.
    """
    if regime is not Regime.CCPA:
        return None
    where = zone_named(zone)
    day = civil_day(received_at, where)
    for _ in range(_CCPA_BUSINESS_DAYS):
        day += timedelta(days=1)
        while day.weekday() >= _SATURDAY:
            day += timedelta(days=1)
    return end_of_day(day, where)


def legal_limit(
    regime: Regime, received_at: datetime, zone: str = "UTC", policy_days: int | None = None
) -> datetime:
    """The furthest that the deadline can be moved, counted from receipt like the first one.

    GDPR and UK GDPR, Article 12(3): three months. CCPA regulations, section 7021(b): 90 calendar days.

    Args:
        regime: the rules.
        received_at: the instant that the first deadline was counted from.
        zone: an IANA name.
        policy_days: for `Regime.POLICY` only: the days of an extended deadline, 1 to 365.

    Returns:
        The instant in UTC.

    Raises:
        ValueError: as for `due_at`.
    """
    return _end_of_last_day(
        regime, received_at, zone, policy_days, months=_EXTENDED_MONTHS, ccpa_days=_CCPA_EXTENDED_DAYS
    )


def extended(
    regime: Regime,
    received_at: datetime,
    zone: str = "UTC",
    *,
    due: datetime,
    now: datetime,
    already: bool,
    policy_days: int | None = None,
) -> datetime:
    """The deadline after its one extension: the legal limit.

    Args:
        regime: the rules.
        received_at: the instant that the first deadline was counted from.
        zone: an IANA name.
        due: the present deadline.
        now: the present instant.
        already: whether the deadline was extended before.
        policy_days: as for `legal_limit`; None if the policy extends nothing.

    Returns:
        The instant in UTC; later than ``due``.

    Raises:
        ExtensionRefused: it was extended before, the deadline has passed, or there is nothing to gain under the regime.
        ValueError: as for `due_at`.
    """
    if already:
        raise ExtensionRefused(Refused.ALREADY_EXTENDED)
    if now > due:
        raise ExtensionRefused(Refused.PAST_DUE)
    if regime is Regime.POLICY and policy_days is None:
        raise ExtensionRefused(Refused.NOT_ALLOWED)
    limit = legal_limit(regime, received_at, zone, policy_days)
    if limit <= due:
        raise ExtensionRefused(Refused.NOT_ALLOWED)
    return limit


def _end_of_last_day(
    regime: Regime, received_at: datetime, zone: str, policy_days: int | None, *, months: int, ccpa_days: int
) -> datetime:
    where = zone_named(zone)
    day = civil_day(received_at, where)
    match regime:
        case Regime.GDPR | Regime.UK_GDPR:
            return end_of_day(_months_later(day, months), where)
        case Regime.CCPA:
            return end_of_day(day + timedelta(days=ccpa_days), where)
        case Regime.POLICY:
            return end_of_day(day + timedelta(days=_checked(policy_days)), where)


def _months_later(day: date, months: int) -> date:
    """The same-numbered day of a later month, or else that month's last day."""
    later, month = divmod(day.month - 1 + months, 12)
    year = day.year + later
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _checked(days: int | None) -> int:
    if days is None or not 1 <= days <= _MOST_POLICY_DAYS:
        raise ValueError(f"a policy's own deadline takes 1 to {_MOST_POLICY_DAYS} days")
    return days
