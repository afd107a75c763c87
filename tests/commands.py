"""Running our commands as processes that need not load torch first."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]


class Command:
    """A command of ours that was started, with what the tests use of `subprocess.Popen`."""

    def __init__(self, warm: _Warm, arguments: Sequence[str], pid: int) -> None:
        self.args = ["lethe", *arguments]
        self.pid = pid
        self.returncode: int | None = None
        self._warm = warm
        # Readable once it has ended; also by us, who are not its parent.
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit code once it has ended, as `Popen` counts them."""
        if self.returncode is None:
            self.returncode = self._warm.ask({"ended": self.pid})
            if self.returncode is not None:
                os.close(self._end)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """
        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            select.select([self._end], [], [], left)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        # Only whoever asks how it ended lets its number go.
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Warm:
    """The process that forks the commands of this test process; see `warm.py`."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=REPOSITORY,
            env=without_settings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for whoever started this: what it has forked is still to be stopped. It ends with its input.
            start_new_session=True,
        )

    def ask(self, order: Mapping[str, object]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            print(json.dumps(order), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@cache
def _warm() -> _Warm:
    started = _Warm()
    atexit.register(started.close)
    return started


def without_settings() -> dict[str, str]:
    """The environment of this process, without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    *,
    seconds: int | None = None,
) -> Command:
    """Start `lethe` with these arguments and this whole environment, in a session of its own.

    Args:
        output, errors: files that what it writes is added to; both go to the first if there is no second.
        seconds: after which it is killed.
    """
    order = {
        "arguments": [*arguments],
        "environment": {**environment},
        "folder": str(Path.cwd()),
        "output": str(output),
        "errors": str(errors or output),
        "seconds": seconds,
    }
    return Command(_warm(), arguments, _warm().ask(order))


def run(
    arguments: Sequence[str], environment: Mapping[str, str], seconds: int
) -> subprocess.CompletedProcess[str]:
    """Run it to its end. Whoever takes longer is killed, which its exit code says."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = (Path(folder) / name for name in ("output", "errors"))
        status = start(arguments, environment, output, errors, seconds=seconds).wait()
        return subprocess.CompletedProcess(
            [*arguments], status, output.read_text(errors="replace"), errors.read_text(errors="replace")
        )
