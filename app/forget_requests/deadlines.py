"""The deadline of a request that names no regime and no zone: GDPR in UTC. The rules are in `app/clock/`."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.clock.deadlines import Regime, due_at, legal_limit


def gdpr_due_at(received_at: datetime) -> datetime:
    """The same day of the next month, or else its last day, at 23:59:59 UTC.

    Args:
        received_at: an aware instant.
    """
    return due_at(Regime.GDPR, received_at)


def extended_due_at(received_at: datetime) -> datetime:
    """Three calendar months after receipt, the furthest that GDPR Article 12(3) allows.

    Args:
        received_at: an aware instant.
    """
    return legal_limit(Regime.GDPR, received_at)


def time_left(due_at: datetime, now: datetime) -> timedelta:
    """The time until the deadline; negative once it has passed."""
    return due_at - now
