"""Peak memory of a piece of work, as the operating system reports it."""

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
    """Do the work; its result, and the increase in resident bytes from before the work to its peak.

    Memory that the allocator keeps from earlier work would count as resident before and hide part of the peak, so the
    allocator is asked to return it first. The increase is None if the system does not report it (anything but Linux
    with glibc).
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
    """The peak resident memory of this process, in bytes.

    Raises:
        OSError: the system does not report it (anything but Linux).
    """
    return _resident("VmHWM")


def _resident(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
