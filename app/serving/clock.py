"""The clock that leases are measured with."""

from __future__ import annotations

import time

# Linux's monotonic clock stands still while the machine sleeps, and a lease must not. Elsewhere there is no other.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds since an arbitrary moment; they go on while this process is stopped or its machine asleep."""
    return time.clock_gettime(_ELAPSED)
