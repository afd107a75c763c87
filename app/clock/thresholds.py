"""When to warn about a deadline: after 50, 75, 90 and 100 % of its time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from app.clock.zones import require_aware

PERCENTS = (50, 75, 90, 100)


class Threshold(NamedTuple):
    """An instant at which a share of the time has passed."""

    percent: int
    at: datetime


def warnings(received_at: datetime, due_at: datetime) -> tuple[Threshold, ...]:
    """The instants to warn at, in order; the last one is the deadline itself."""
    time = require_aware(due_at) - require_aware(received_at)
    return tuple(Threshold(percent, received_at + time * percent / 100) for percent in PERCENTS)


def last_passed(thresholds: Sequence[Threshold], now: datetime) -> Threshold | None:
    """The last one that has passed; None before the first. At the very instant of the deadline it has not passed."""
    return next((one for one in reversed(thresholds) if one.at < now), None)
