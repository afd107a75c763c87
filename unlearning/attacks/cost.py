"""Peak memory of a computation, counted by torch's allocator."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.profiler import ProfilerActivity, profile


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector, so that it frees no earlier measurement's memory during this one."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def peak_tensor_bytes(work: Callable[[], object]) -> int:
    """Peak bytes of CPU tensor memory during `work`, beyond those in use before it."""
    with collector_paused(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    assert recorded.profiler is not None
    assert recorded.profiler.kineto_results is not None
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
