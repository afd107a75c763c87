"""A whole installation in a temporary folder: `lethe up` as a process of its own, as a user starts it.

Commands are run and not imported, so that the benchmark measures what a user gets.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx

from benchmarks.service.errors import ServiceUnmeasurable

CODE = Path(__file__).parents[2]
# The first start generates or reads the data, and fits the base and the adapter.
_SET_UP_SECONDS = 3600.0
# Longer than `lethe up` takes to kill its processes.
_STOP_SECONDS = 90.0
TAIL_LINES = 20
STATE = "state"
# Parts of an installation's folder that are not copied: results of other benchmarks, and messages, which the sweeper
# sends again.
LEFT_BEHIND = ("bench", "broker")
# The server closes idle connections after five seconds. A request must not use one that is being closed.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)


@dataclass(frozen=True)
class Service:
    """An installation that `lethe up` runs: its URL, its process and its log."""

    url: str
    _process: subprocess.Popen[bytes]
    _state: Path
    _log: Path

    def client(self, *, timeout: float = 30.0) -> httpx.Client:
        """A new HTTP client with the demo's key. The caller closes it."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=timeout, limits=_LIMITS)

    def async_client(self, *, timeout: float = 30.0) -> httpx.AsyncClient:
        """As `client`, for one event loop."""
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=timeout, limits=_LIMITS)

    @property
    def headers(self) -> dict[str, str]:
        """The header with the demo's key."""
        return {"Authorization": f"Bearer {self._key()}"}

    @property
    def pid(self) -> int:
        return self._process.pid

    def log_bytes(self) -> int:
        return self._log.stat().st_size

    def check(self) -> None:
        """
        Raises:
            ServiceUnmeasurable: the installation has ended.
        """
        if self._process.poll() is not None:
            raise self.failure(f"the installation ended with status {self._process.returncode}")

    def failure(self, message: str) -> ServiceUnmeasurable:
        """An error to raise, with the end of the log."""
        lines = self._log.read_text(errors="replace").splitlines()
        # Leave out lines with the key: `lethe up` prints example calls, each with its key and a user id.
        key = self._key()
        told = [line for line in lines if not key or key not in line]
        return ServiceUnmeasurable(f"{message}; its log's end is above", "\n".join(told[-TAIL_LINES:]))

    def wait_until_ready(self) -> None:
        """
        Raises:
            ServiceUnmeasurable: the installation ended, or takes more than an hour.
        """
        deadline = time.monotonic() + _SET_UP_SECONDS
        while time.monotonic() < deadline:
            self.check()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise self.failure(f"the installation was not ready within {_SET_UP_SECONDS:.0f} seconds")

    def stop(self) -> None:
        """End `lethe up` and the processes that it runs.

        The signal goes to the process group: during the setup, the child of `lethe up` would not get it otherwise.
        Gateway and worker are in groups of their own, and `lethe up` ends them.
        """
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _key(self) -> str:
        """The demo's key; empty until it exists."""
        file = self._state / "demo-key"
        return file.read_text() if file.exists() else ""


@contextmanager
def temporary_installation(*, data: Path | None = None, home: Path | None = None) -> Iterator[Service]:
    """Start a new installation and wait until it serves. When the block ends, stop it and delete its folder.

    All settings have their defaults: the caller's ``LETHE_*`` variables and ``.env`` are ignored.

    Args:
        data: interactions; None for the demo's generated users.
        home: folder of a stopped installation that was made from the same data. A copy of it is started, so the folder
            stays as it is and nobody in it is forgotten.

    Raises:
        ServiceUnmeasurable: the installation did not start.
    """
    with on_signals(signal.default_int_handler):
        folder = Path(tempfile.mkdtemp(prefix="lethe-bench-"))
        service: Service | None = None
        try:
            if home is not None:
                shutil.copytree(home, folder / STATE, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
            service = _start(folder, data)
            service.wait_until_ready()
            yield service
        finally:
            # Ignore a second Ctrl-C, which would leave processes behind.
            with on_signals(signal.SIG_IGN):
                if service is not None:
                    service.stop()
                shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, data: Path | None) -> Service:
    state, log, port = folder / STATE, folder / "log", free_port()
    settings = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    paths = [str(CODE), *filter(None, [settings.get("PYTHONPATH")])]
    command = ["up", "--state", str(state), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *command, *(["--data", str(data.resolve())] if data else [])],
            # A folder without a .env file.
            cwd=folder,
            env=settings | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C must reach this process first, which then ends the installation in order.
            start_new_session=True,
        )
    return Service(f"http://127.0.0.1:{port}", process, state, log)


@contextmanager
def on_signals(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    """Handle SIGINT and SIGTERM with `handler` while the block lasts."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
