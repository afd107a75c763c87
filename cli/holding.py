"""A lock on the folder, so that only one `lethe up` with its processes works on it at a time."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from cli.failures import CommandError
from cli.stopping import GRACE_SECONDS

# The processes of a killed `lethe up` end within the grace period. A busy machine gets as much time again.
_WAIT_SECONDS = 2 * GRACE_SECONDS


def hold(state: Path) -> int:
    """Lock the folder. Returns the descriptor; a process that inherits it holds the lock too.

    Raises:
        CommandError: another `lethe up` works on the folder, or the folder cannot be used.
    """
    try:
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandError(f"cannot use {state}: {error.strerror}") from error
    deadline, said = time.monotonic() + _WAIT_SECONDS, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise CommandError(
                    f"another 'lethe up' works on {state}; stop it, or choose another folder with --state"
                ) from None
        if not said:
            print("waiting for what an earlier start has left behind to end", flush=True)
            said = True
        time.sleep(0.1)
