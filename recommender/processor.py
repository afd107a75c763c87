"""Settings of a process that trains on the CPU."""

from __future__ import annotations

import ctypes

import torch

# glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_GROW_BY = 256 * 2**20


def use_processor(threads: int) -> None:
    """Compute with this number of threads, and keep freed memory for later tensors.

    glibc returns large blocks to the system as soon as they are freed, and every training step allocates the same
    blocks again, so a step of a small model spends much of its time on page faults. With this setting, the process
    never becomes smaller. Other C libraries are left unchanged.
    """
    torch.set_num_threads(threads)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
        mallopt(_M_TOP_PAD, _GROW_BY)
