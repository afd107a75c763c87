"""How a process that trains on the processor uses it."""

from __future__ import annotations

import ctypes

import torch

# glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_GROW_BY = 256 * 2**20


def use_processor(threads: int) -> None:
    """Compute with so many threads, and keep memory that tensors free for the tensors that follow.

    glibc gives large blocks back to the system as soon as they are freed, and every training step asks for the same
    ones again: a small model's step then waits for page faults for much of its time. The process stays as large as it
    once was. Another C library is left as it is.
    """
    torch.set_num_threads(threads)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
        mallopt(_M_TOP_PAD, _GROW_BY)
