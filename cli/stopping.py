"""Handles SIGINT (Ctrl-C) and SIGTERM: no traceback, and no endless wait."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

# For commands that run until they are told to stop: being stopped is their success. Other commands are `INTERRUPTED`.
TOLD_TO_STOP = 0
CANNOT = 2
INTERRUPTED = 130
# Well below the ten seconds within which a whole installation must have ended.
GRACE_SECONDS = 6.0
# Set in the environment of each process that `lethe up` starts. Its standard input closes when `lethe up` ends.
STARTED_BY_UP = "LETHE_STARTED_BY_UP"


def leave_on_ctrl_c() -> None:
    """From now on, Ctrl-C ends this process with `INTERRUPTED` and one line, unless Ctrl-C is ignored already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def leave_when_told() -> None:
    """From now on, SIGINT and SIGTERM end this process as a success, by raising `SystemExit`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _told_to_stop)


def leave_at_once_when_told() -> None:
    """Like `leave_when_told`, but without any clean-up: unloading torch alone can take seconds."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave())


def leave(message: str | None = None) -> NoReturn:
    """End this process now, from any thread. With a message, it ends as unable to work and prints the message."""
    if message is not None:
        os.write(2, f"lethe: {message}\n".encode())
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(TOLD_TO_STOP if message is None else CANNOT)


def leave_within(seconds: float) -> None:
    """End this process after that time, whatever it is doing. It may end earlier by itself."""
    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def end_with_lethe_up() -> None:
    """If `lethe up` has started this process, end it by SIGTERM as soon as `lethe up` is gone, for whatever reason."""
    if os.environ.get(STARTED_BY_UP):
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS + 1)
    # `lethe up` would kill the process group now. Do it here, if the group belongs to this process.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    if _first_time():
        # Not print(): the signal may have interrupted a print.
        os.write(2, b"\nlethe: interrupted\n")
        # An interrupted library would log a traceback.
        logging.disable()
        # The interrupted code may swallow the exception, for example a driver's callback or a finaliser.
        timer = threading.Timer(GRACE_SECONDS, os._exit, (INTERRUPTED,))
        timer.daemon = True
        timer.start()
        raise SystemExit(INTERRUPTED)


def _told_to_stop(_number: int, _frame: FrameType | None) -> None:
    if _first_time():
        raise SystemExit(TOLD_TO_STOP)


_told: list[bool] = []


def _first_time() -> bool:
    """Whether this is the first signal. A second one must not disturb the stopping, even if both come at once."""
    first = not _told
    _told.append(True)
    return first
