"""Stopping a worker at once: its run is handed back and taken up again by whoever comes next."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from billiard.process import active_children
from billiard.util import LOGGER_NAME as _LOGGER_OF_THE_POOL
from celery import Celery

# For the child to hand back its run; then it is killed, and the run's lease lapses by itself.
_CHILD_SECONDS = 5.0
_SECONDS_BETWEEN_SIGNALS = 0.5
# Not the one that a service manager sends to every process of the service: only the parent tells the child.
_CHILD_SIGNAL = signal.SIGQUIT


def leave_stopping_to_the_parent() -> None:
    """In the pool's child, before the pool sets its handlers: only the parent tells it when to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Until then there is nothing to hand back.
    signal.signal(_CHILD_SIGNAL, lambda *_: os._exit(0))


def end_run_when_told() -> None:
    """In the pool's child, at the start of a run: the signal raises `SystemExit` in it, each time that it comes.

    Python drops an exception that is raised while something is being collected. So the parent says it again.
    """
    signal.signal(_CHILD_SIGNAL, _raise_exit)


def ignore_what_is_told_again() -> None:
    """The run has ended for that reason: nothing may interrupt what is left to do."""
    signal.signal(_CHILD_SIGNAL, signal.SIG_IGN)


def _raise_exit(_number: int, _frame: FrameType | None) -> NoReturn:
    # A drop would be reported with a traceback.
    sys.unraisablehook = lambda _: None
    raise SystemExit(0)


def stop_promptly_when_told(app: Celery, leave: Callable[[], NoReturn]) -> None:
    """Ctrl-C and a polite kill end the worker and its child without waiting for the run, nor for the broker.

    Celery's own handlers would wait for both; ours take their place before the first child is forked. Nothing of
    Celery's has to be closed: what it has not acknowledged only names a run.

    Args:
        leave: ends this process.
    """
    parent, told = os.getpid(), threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != parent:
            # A child between its fork and its own handlers.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        # Not by ignoring the signal from now on: one that has come already would be reported as lost, with a traceback.
        if told.is_set():
            return
        told.set()
        # The pool would report the child's run as lost, which is handed back, and that the child has ended, as told.
        for name in ("celery.worker.request", _LOGGER_OF_THE_POOL):
            logging.getLogger(name).disabled = True
        # In a thread: what this interrupts may hold a lock that looking after children wants.
        threading.Thread(target=end, daemon=True).start()

    def end() -> None:
        try:
            children = {child.pid for child in active_children()}
            now = again_at = time.monotonic()
            deadline = now + _CHILD_SECONDS
            while (left := children & {child.pid for child in active_children()}) and now < deadline:
                if now >= again_at:
                    _send(left, _CHILD_SIGNAL)
                    again_at += _SECONDS_BETWEEN_SIGNALS
                time.sleep(0.05)
                now = time.monotonic()
            # Also those that the pool has started in their place meanwhile; none that has ended, whose number is free.
            _send({child.pid for child in active_children()}, signal.SIGKILL)
        finally:
            leave()

    class PromptWorker(app.Worker):
        def install_platform_tweaks(self, worker: object) -> None:
            super().install_platform_tweaks(worker)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, stop)

    app.Worker = PromptWorker


def _send(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
