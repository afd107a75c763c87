"""The clock that measures leases."""

from __future__ import annotations

import time

# Linux's CLOCK_MONOTONIC stands still while the machine sleeps, but a lease must go on. Other systems have no better
# clock.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds since an arbitrary moment. They go on while this process is suspended or its machine asleep."""
    return time.clock_gettime(_ELAPSED)
