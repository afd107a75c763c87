"""When a forget request is due. Pure calendar arithmetic, no I/O."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta


def gdpr_due_at(received_at: datetime) -> datetime:
    """One calendar month after receipt: the same day of the next month, or else its last day, at 23:59:59 UTC.

    Source: GDPR Article 12(3), with the stricter reading of Regulation 1182/71: the day of receipt counts, and a
    weekend does not extend the period. Nothing that happens later moves the result (invariant I11).

    Args:
        received_at: an aware instant.
    """
    return _months_after(received_at, 1)


def extended_due_at(received_at: datetime) -> datetime:
    """Three calendar months after receipt, the furthest that GDPR Article 12(3) allows.

    Args:
        received_at: an aware instant.
    """
    return _months_after(received_at, 3)


def _months_after(received_at: datetime, months: int) -> datetime:
    if received_at.tzinfo is None:
        raise ValueError("received_at must carry a time zone")
    received = received_at.astimezone(UTC)
    later = received.month - 1 + months
    year, month = received.year + later // 12, later % 12 + 1
    day = min(received.day, calendar.monthrange(year, month)[1])
    return datetime(year, month, day, 23, 59, 59, tzinfo=UTC)


def time_left(due_at: datetime, now: datetime) -> timedelta:
    """The time until the deadline; negative once it has passed."""
    return due_at - now
