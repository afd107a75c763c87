"""Peak memory of a piece of work, as the operating system sees it."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): sets VmHWM back to what is resident now


def with_peak(work: Callable[[], T]) -> tuple[T, int | None]:
    """Do the work; returns its result and the bytes that were resident at its peak beyond those before it.

    What the allocator keeps of earlier work would count as resident before and hide as much of the peak, so it is
    asked to give it back first. None where the system does not say (anything but Linux with glibc).
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _RESET.write_text(_RESET_PEAK)
        before = _resident("VmRSS")
    except (OSError, AttributeError):
        return work(), None
    result = work()
    return result, max(_resident("VmHWM") - before, 0)


def peak_resident() -> int:
    """The most bytes that were ever resident in this process.

    Raises:
        OSError: the system does not say (anything but Linux).
    """
    return _resident("VmHWM")


def _resident(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
