"""The services of one installation under attack: forked, killed, frozen and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import CODE

START_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.05
# One client for all readiness checks, because creating a client reads certificates. Each check uses a new connection,
# as a new caller would.
_HTTP = httpx.Client(timeout=2, limits=httpx.Limits(max_keepalive_connections=0))


class Warm:
    """A handle on the process that forks the services, see `warm.py`."""

    def __init__(self) -> None:
        inherited = self.inherited()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.chaos.warm"],
            cwd=CODE,
            env=inherited | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C must not reach it. It ends when its standard input is closed.
            start_new_session=True,
        )
        self._inherited = inherited

    @staticmethod
    def inherited() -> dict[str, str]:
        """The environment without Lethe's settings."""
        return {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], **order: object) -> int:
        """Start a process; its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        full = {"arguments": arguments, "environment": self._inherited | {**environment}, **order}
        print(json.dumps(full), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@dataclass
class Service:
    """A gateway or a worker, which is one process group."""

    command: str
    process: int
    log: Path
    url: str = ""
    kill_order: Path | None = None

    @property
    def alive(self) -> bool:
        return _lives(self.process)

    @property
    def ready(self) -> bool:
        """Whether a gateway says that it is ready. Always true for a worker, for which nobody has to wait."""
        if not self.url:
            return True
        try:
            return _HTTP.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process, number)

    def kill(self) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        wait_until(lambda: not self.alive, 30, "a killed process ends")

    def wait_until_ready(self) -> None:
        """
        Raises:
            ServiceUnmeasurable: the service ended, or takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.ready:
            if not self.alive or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace").splitlines()[-20:]
                raise ServiceUnmeasurable(
                    f"a {self.command} did not come up; its log is above", "\n".join(tail)
                )
            time.sleep(_LOOK_EVERY_SECONDS)


def wait_until(holds: object, seconds: float, what: str) -> None:
    """
    Raises:
        ServiceUnmeasurable: the condition did not become true in time.
    """
    assert callable(holds)
    if not comes_about(holds, seconds):
        raise ServiceUnmeasurable(f"{what}: not within {seconds:.0f} seconds")


def comes_about(holds: object, seconds: float) -> bool:
    """Whether the condition becomes true within so many seconds."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_SECONDS)
    return True


def _lives(process: int) -> bool:
    """Whether the process runs; a zombie process does not count."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
