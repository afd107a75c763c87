"""Ends a worker whose main loop stands still, so that its supervisor starts another one (R-35).

Progress is that the loop of the worker's parent turns: it asks the broker for messages and looks after its child. That
a run's heartbeat goes on is none, because it is a thread of the child, and beats while the parent is stuck. What a run
computes is none either: one step may take longer than any patience. docs/adr/0036 has the reasons.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

log = structlog.get_logger()

# Not 2, which says that a setting is wrong: whoever supervises the worker would not start it again.
STUCK = 1
_LOOKS = 10
# For the child to hand its run back and for the last line of log. Then the process ends, whatever holds it up.
_LAST_SECONDS = 10.0


class Watchdog:
    """Counts for how long the loop has not turned.

    It adds up its own pauses and reads no clock. So the time for which the whole process was frozen does not count, and
    a machine that is short of processors slows it as much as the loop.
    """

    def __init__(self) -> None:
        self._turns = 0
        # Nor does the start count, up to the first turn.
        self._waiting = True

    def turned(self) -> None:
        """The loop has turned once more. Called in the main thread, at least every two seconds."""
        self._waiting = False
        self._turns += 1

    def waits(self) -> None:
        """Nothing counts until the loop's next turn: the broker is away, or a connection is made anew."""
        self._waiting = True

    def start(self, seconds: float, stuck: Callable[[float], object]) -> None:
        """Begin to watch, in a thread of its own.

        It holds no lock, so the pool may fork beside it; the child has no such thread.

        Args:
            seconds: for how long the loop may stand still.
            stuck: called once, with these seconds, if it does.
        """
        threading.Thread(target=self._watch, args=(seconds, stuck), name="watchdog", daemon=True).start()

    def _watch(self, seconds: float, stuck: Callable[[float], object]) -> None:
        known, looks = self._turns, 0
        while looks < _LOOKS:
            time.sleep(seconds / _LOOKS)
            if self._waiting or self._turns != known:
                known, looks = self._turns, 0
            else:
                looks += 1
        stuck(seconds)


watchdog = Watchdog()


def end_stuck_worker(end_children: Callable[[], object], seconds: float) -> None:
    """End this process as `STUCK`, from a thread, with one line in the log. The main thread may hold any lock.

    Args:
        end_children: has the child hand its run back and end.
        seconds: for how long the loop has stood still, for the log.
    """
    last = threading.Timer(_LAST_SECONDS, os._exit, (STUCK,))
    last.daemon = True
    last.start()
    log.critical("worker.stuck", seconds=seconds)
    try:
        end_children()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, RuntimeError):
                stream.flush()
        os._exit(STUCK)
