"""Ctrl-C and polite kills: no traceback, and never a wait for what does not end."""

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

# What runs until it is told to stop has done what it was asked to; what was to reach an end has not.
TOLD_TO_STOP = 0
CANNOT = 2
INTERRUPTED = 130
# Well below the ten seconds within which an installation has ended.
GRACE_SECONDS = 6.0
# In the environment of what `lethe up` has started: its standard input ends when `lethe up` does.
STARTED_BY_UP = "LETHE_STARTED_BY_UP"


def leave_on_ctrl_c() -> None:
    """From here on, Ctrl-C ends this process with `INTERRUPTED` and one line. Where Ctrl-C is ignored, it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def leave_when_told() -> None:
    """From here on, Ctrl-C and a polite kill are the proper end of this process, by way of `SystemExit`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _told_to_stop)


def leave_at_once_when_told() -> None:
    """The same for what has nothing to tidy up: taking torch apart alone can take seconds."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave())


def leave(message: str | None = None) -> NoReturn:
    """End this process now, from any thread: told to stop, or with the line that says why it cannot work."""
    if message is not None:
        os.write(2, f"lethe: {message}\n".encode())
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(TOLD_TO_STOP if message is None else CANNOT)


def leave_within(seconds: float) -> None:
    """End this process after that time whatever it is doing then; it may well end earlier."""
    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def end_with_lethe_up() -> None:
    """If `lethe up` has started this process, end it politely as soon as that one is gone, however it went."""
    if os.environ.get(STARTED_BY_UP):
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS + 1)
    # What `lethe up` does in this place: the group is this process's own.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    if _first_time():
        # Not print: what this interrupts may be in the middle of printing.
        os.write(2, b"\nlethe: interrupted\n")
        # Whatever library is cut short would log that with a traceback.
        logging.disable()
        # What this interrupts may swallow the exception: a driver's callback, a finaliser.
        timer = threading.Timer(GRACE_SECONDS, os._exit, (INTERRUPTED,))
        timer.daemon = True
        timer.start()
        raise SystemExit(INTERRUPTED)


def _told_to_stop(_number: int, _frame: FrameType | None) -> None:
    if _first_time():
        raise SystemExit(TOLD_TO_STOP)


_told: list[bool] = []


def _first_time() -> bool:
    """Whether to act: a second signal must not tear down the tearing down, even if it came together with the first."""
    first = not _told
    _told.append(True)
    return first
