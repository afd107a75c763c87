"""Whether there is time to try a rung and still fall back on the exact one before the deadline. Pure arithmetic."""

from __future__ import annotations

from datetime import timedelta

# What was measured may take twice as long next time: more subjects, a busier machine.
_SAFETY = 2


def suffices(left: timedelta, *, rung: timedelta | None, exact: timedelta | None) -> bool:
    """Whether the time that is left is enough for both.

    Args:
        left: until the earliest deadline of the run; negative once overdue.
        rung, exact: how long each took at worst; None where nobody knows, which is no constraint.
    """
    known = [duration for duration in (rung, exact) if duration is not None]
    return not known or _SAFETY * sum(known, timedelta()) <= left
