"""Whether there is time to try a rung and still run the exact rung before the deadline. Pure arithmetic."""

from __future__ import annotations

from datetime import timedelta

# A rung may take twice as long as measured: more subjects, a busier machine.
_SAFETY = 2


def suffices(left: timedelta, *, rung: timedelta | None, exact: timedelta | None) -> bool:
    """Whether the time that is left is enough for both rungs.

    Args:
        left: time until the earliest deadline of the run; negative once overdue.
        rung, exact: the longest time that each has taken; None if unknown, which adds no constraint.
    """
    known = [duration for duration in (rung, exact) if duration is not None]
    return not known or _SAFETY * sum(known, timedelta()) <= left
