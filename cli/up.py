"""Everything on one machine: the embedded default behind ``make up``."""

from __future__ import annotations

import json
import math
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from cli.failures import CommandError
from cli.processes import require_free_port

READY_SECONDS = 120.0
_GRACE_SECONDS = 40.0
_LEVELS_SECONDS = 600.0
_MAX_RESTARTS_PER_MINUTE = 5


class _Stop(Exception):
    """Ctrl-C or a polite kill."""


def run_all(state: Path, *, host: str, port: int, data: Path | None, seed: int) -> None:
    """Set up what is missing, start gateway and worker, and watch over them until told to stop.

    Raises:
        CommandError: the port is taken, the folder is not writable, or a process keeps dying.
    """
    require_free_port(host, port)
    state = state.resolve()
    environment = _environment(state, host, port)
    source = ["--seed", str(seed), *(["--data", str(data)] if data else [])]
    # Levels come after the first recommendation: whoever waits for it need not wait for them.
    for command in (["migrate"], ["init", "--no-levels", *source]):
        if subprocess.run(_lethe(*command), env=environment, check=False).returncode:
            raise CommandError(f"'lethe {command[0]}' failed; its message is above")
    key = _demo_key(state, environment)
    user = _output(environment, "example-user", *source)
    with _stopping_on_signals():
        children = Children(environment)
        try:
            children.start()
            _wait_until_ready(f"http://{host}:{port}", children)
            _introduce(f"http://{host}:{port}", key, state, user)
            children.start_levels()
            while True:
                children.keep_alive()
                time.sleep(0.5)
        except _Stop:
            print("\nstopping", flush=True)
        finally:
            children.stop()


class Children:
    """Gateway, the making of levels and, after it, the worker, each in a session of its own so that Ctrl-C reaches
    them through us, in order.

    A worker that began before would make levels of its own for a request that is in a hurry: the same price, twice, on
    the same cores. It waits for `_LEVELS_SECONDS` and no longer: there may be requests that are due.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts: list[float] = []
        self._levels: subprocess.Popen[bytes] | None = None
        self._worker_at = math.inf

    def start(self) -> None:
        """Requests are accepted and their users suppressed from here on; they are carried out once the worker is up."""
        self._launch("gateway")

    def start_levels(self) -> None:
        """Not started again if it dies: then the worker's first run makes them."""
        self._levels = self._spawn("levels")
        self._worker_at = time.monotonic() + _LEVELS_SECONDS

    def keep_alive(self) -> None:
        """Start the worker when the levels are made, cannot be, or take too long; start again whatever died meanwhile.

        Raises:
            CommandError: they die faster than it makes sense to start them.
        """
        levels_ended = self._levels is not None and self._levels.poll() is not None
        if "worker" not in self._running and (levels_ended or time.monotonic() >= self._worker_at):
            self._launch("worker")
        self.restart_the_dead()

    def _launch(self, name: str) -> None:
        self._running[name] = self._spawn(name)

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(_lethe(name), env=self._environment, start_new_session=True)

    def restart_the_dead(self) -> None:
        """
        Raises:
            CommandError: they die faster than it makes sense to start them.
        """
        for name, child in list(self._running.items()):
            if child.poll() is None:
                continue
            now = time.monotonic()
            self._restarts = [at for at in self._restarts if now - at < 60] + [now]
            if len(self._restarts) > _MAX_RESTARTS_PER_MINUTE:
                raise CommandError(
                    f"the {name} keeps dying (exit status {child.returncode}); its log is above"
                )
            print(f"the {name} died (exit status {child.returncode}); starting it again", flush=True)
            self._launch(name)

    def stop(self) -> None:
        """The gateway drains, the worker finishes or leaves its run to be claimed again; then the rest is killed.

        Levels half made are lost; the next start makes them.
        """
        children = [*self._running.values(), *([self._levels] if self._levels else [])]
        for child in children:
            child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        # Once is enough: a second Ctrl-C must not tear down the tearing down.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Stop

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    yield


def _lethe(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", *arguments]


def _output(environment: dict[str, str], *arguments: str) -> str:
    """What a command printed."""
    done = subprocess.run(_lethe(*arguments), env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _environment(state: Path, host: str, port: int) -> dict[str, str]:
    """The caller's variables win, so that one part can be moved elsewhere without giving up the rest."""
    defaults = {
        "LETHE_ENVIRONMENT": "production",
        "LETHE_DATABASE_URL": f"sqlite:///{state}/lethe.sqlite3",
        "LETHE_BROKER_URL": f"filesystem://{state}/broker",
        "LETHE_STORE_URL": str(state / "store"),
        "LETHE_BASE": str(state / "base"),
        # One machine, and a person watching: a killed worker's run is taken up again within seconds.
        "LETHE_LEASE_SECONDS": "15",
        "LETHE_HEARTBEAT_SECONDS": "3",
        "LETHE_SWEEP_SECONDS": "2",
        "LETHE_REDISPATCH_SECONDS": "10",
        **_secrets(state),
    }
    return {**defaults, **os.environ, "LETHE_HOST": host, "LETHE_PORT": str(port)}


def _secrets(state: Path) -> dict[str, str]:
    """Drawn once and kept with mode 0600; losing them would orphan every subject in the database."""
    path = state / "secrets.json"
    try:
        state.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            drawn = {f"LETHE_{name}_KEY": secrets.token_hex(32) for name in ("SUBJECT", "AUDIT")}
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(drawn, file)
        stored: dict[str, str] = json.loads(path.read_text())
    except OSError as error:
        raise CommandError(
            f"cannot use {state}: {error.strerror}; choose another folder with --state"
        ) from error
    return stored


def _demo_key(state: Path, environment: dict[str, str]) -> str:
    path = state / "demo-key"
    if not path.exists():
        issued = _output(environment, "keys", "issue", f"demo-{secrets.token_hex(4)}", "--scope", "all")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(issued)
    return path.read_text()


def _wait_until_ready(url: str, children: Children) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        children.restart_the_dead()
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise CommandError(f"the gateway was not ready within {READY_SECONDS:.0f} seconds; its log is above")


def _introduce(url: str, key: str, state: Path, user: str) -> None:
    print(
        f"""
Lethe is up at {url}
  dashboard   {url}/  (any user name; the key below is the password)
  API         {url}/docs
  key         {key}
  state       {state}

  curl -H 'Authorization: Bearer {key}' '{url}/recommend?user_id={user}&k=5'
  curl -H 'Authorization: Bearer {key}' -X POST '{url}/users/{user}/forget'
  curl -H 'Authorization: Bearer {key}' '{url}/jobs'

Ctrl-C stops everything; the next start goes on where this one was.
""",
        flush=True,
    )
