"""Stopping a worker at once: its run is handed back and taken up again by whoever comes next."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from billiard.process import active_children
from celery.signals import worker_before_create_process
from celery.worker import state

# For the child to hand back its run; then it is killed, and the run's lease lapses by itself.
_CHILD_SECONDS = 5.0

EndWithin = Callable[[float, Callable[[], None]], None]


def stop_promptly_when_told(end_within: EndWithin) -> None:
    """Ctrl-C and a polite kill end the worker and its child without waiting for the run.

    Celery installs handlers of its own when it starts, and would wait for the run to end; ours follow them, before
    the first child is there.
    """
    parent = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != parent:
            # A child between its fork and its own handlers.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for told in (signal.SIGINT, signal.SIGTERM):
            signal.signal(told, signal.SIG_IGN)
        state.should_terminate = 0
        end_within(_CHILD_SECONDS, _kill_children)

    def install(**_: object) -> None:
        if signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
            for told in (signal.SIGINT, signal.SIGTERM):
                signal.signal(told, stop)

    # Kept by a strong reference: the function would be gone before the signal is sent.
    worker_before_create_process.connect(install, weak=False)


def _kill_children() -> None:
    for child in active_children():
        os.kill(child.pid, signal.SIGKILL)
