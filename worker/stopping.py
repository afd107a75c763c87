"""Stopping a worker at once: it hands its run back, and the next worker takes the run up again."""

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

# The time for the child to hand back its run. Then the child is killed, and the run's lease lapses by itself.
_CHILD_SECONDS = 5.0
_SECONDS_BETWEEN_SIGNALS = 0.5
# Not SIGTERM, which a service manager sends to every process of the service: only the parent tells the child to stop.
_CHILD_SIGNAL = signal.SIGQUIT


def leave_stopping_to_the_parent() -> None:
    """Ignore SIGTERM: only the parent tells the child when to stop.

    Call it in the pool's child, before the pool sets its handlers.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Before the first run there is nothing to hand back.
    signal.signal(_CHILD_SIGNAL, lambda *_: os._exit(0))


def end_run_when_told() -> None:
    """Raise `SystemExit` each time that the parent's signal arrives. Call it in the pool's child when a run starts.

    Python drops an exception that a signal handler raises during garbage collection, so the parent repeats the signal.
    """
    signal.signal(_CHILD_SIGNAL, _raise_exit)


def ignore_what_is_told_again() -> None:
    """Ignore further signals of the parent: the run has ended, and the rest of the work must not be interrupted."""
    signal.signal(_CHILD_SIGNAL, signal.SIG_IGN)


def _raise_exit(_number: int, _frame: FrameType | None) -> NoReturn:
    # Python reports a dropped exception with a traceback.
    sys.unraisablehook = lambda _: None
    raise SystemExit(0)


def stop_promptly_when_told(app: Celery, leave: Callable[[], NoReturn]) -> None:
    """Make SIGINT and SIGTERM end the worker and its child without waiting for the run or the broker.

    Celery's own handlers would wait for both. Ours replace them before the first child is forked. Celery needs no
    orderly end: the messages that it has not acknowledged only name runs.

    Args:
        leave: ends this process.
    """
    parent, told = os.getpid(), threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != parent:
            # This is a child between its fork and its own handlers.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        # A flag instead of SIG_IGN: Python would report a pending signal as lost, with a traceback.
        if told.is_set():
            return
        told.set()
        # In a thread, because the interrupted code may hold a lock that `active_children` needs.
        threading.Thread(target=end, daemon=True).start()

    def end() -> None:
        try:
            end_children()
        finally:
            leave()

    class PromptWorker(app.Worker):
        def install_platform_tweaks(self, worker: object) -> None:
            super().install_platform_tweaks(worker)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, stop)

    app.Worker = PromptWorker


def end_children() -> None:
    """Have the child hand its run back and end, and kill it if it does not. Called in the parent, in any thread."""
    # Silence two false alarms of the pool: a lost run (it is handed back) and an ended child (it was told to end).
    for name in ("celery.worker.request", _LOGGER_OF_THE_POOL):
        logging.getLogger(name).disabled = True
    children = {child.pid for child in active_children()}
    now = again_at = time.monotonic()
    deadline = now + _CHILD_SECONDS
    while (left := children & {child.pid for child in active_children()}) and now < deadline:
        if now >= again_at:
            _send(left, _CHILD_SIGNAL)
            again_at += _SECONDS_BETWEEN_SIGNALS
        time.sleep(0.05)
        now = time.monotonic()
    # Also kill children that the pool has started as replacements. Never signal a child that has ended: its process id
    # may belong to another process by now.
    _send({child.pid for child in active_children()}, signal.SIGKILL)


def _send(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
