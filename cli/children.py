"""The processes that `lethe up` starts and supervises."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from cli.failures import CommandError
from cli.stopping import GRACE_SECONDS, STARTED_BY_UP

# What `lethe init --name-example` prints once a version is live.
INITIALISED = "\x04"

_LEVELS_SECONDS = 600.0
_MAX_RESTARTS_PER_MINUTE = 5


@dataclass(frozen=True)
class Command:
    name: str
    process: subprocess.Popen[bytes]


class Children:
    """Runs commands that end, then the gateway and the making of levels, and after these the worker.

    Each child has a session of its own. So Ctrl-C reaches the children only through this process, which stops them in
    order, and the processes that a child started can be killed with it.

    The worker starts after the levels are made. Before that it would take cores from the making of levels, only to wait
    for them (`worker.levels`). After `_LEVELS_SECONDS` it starts in any case, because requests may be due.

    Args:
        lock: an open file that every child inherits. It stays open as long as a child, or a process of a child, lives.
    """

    def __init__(self, environment: Mapping[str, str], lock: int | None = None) -> None:
        self._environment = {**environment, STARTED_BY_UP: "1"}
        self._inherited = () if lock is None else (lock,)
        # Nothing is ever written to this pipe. Only this process holds the writing end, so it closes when this process
        # ends, and the children notice.
        self._alive, self._open = os.pipe()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: list[subprocess.Popen[bytes]] = []
        self._restarts: list[float] = []
        self._levels: subprocess.Popen[bytes] | None = None
        self._worker_at = math.inf

    def run(self, *arguments: str) -> None:
        """Run a command and wait for its end.

        Raises:
            SystemExit, CommandError: as `finish` does.
        """
        self.finish(self.begin(*arguments, capture=False))

    def begin(self, *arguments: str, capture: bool = True) -> Command:
        """Start a command that ends by itself."""
        command = Command(arguments[0], self._spawn(*arguments, stdout=subprocess.PIPE if capture else None))
        self._commands.append(command.process)
        return command

    def pass_on(self, command: Command) -> None:
        """Print what the command prints, up to the line `INITIALISED`; the rest is for `finish`.

        Raises:
            SystemExit, CommandError: as `finish` does.
        """
        assert command.process.stdout is not None
        for line in iter(command.process.stdout.readline, b""):
            text = line.decode()
            if text.strip() == INITIALISED:
                return
            print(text, end="", flush=True)
        self.finish(command)

    def finish(self, command: Command) -> str:
        """Wait for the command's end. Returns what it printed, if that was captured.

        Raises:
            SystemExit: the command failed and has printed why; carries its exit code.
            CommandError: the command was killed.
        """
        output = command.process.communicate()[0] or b""
        status = command.process.returncode
        if status < 0:
            raise CommandError(f"'lethe {command.name}' was killed by signal {-status}")
        if status:
            raise SystemExit(status)
        return output.decode().strip()

    def start(self) -> None:
        """Start the gateway. It accepts requests and suppresses their users; the runs wait for the worker."""
        self._launch("gateway")

    def start_levels(self) -> None:
        """Start making levels. If that process dies it is not restarted: the worker's first run makes the levels."""
        # No progress bar: other processes write to the same terminal.
        self._levels = self._spawn("levels", TTY_INTERACTIVE="0")
        self._worker_at = time.monotonic() + _LEVELS_SECONDS
        print("making the users' levels in the background; forget requests wait for the worker", flush=True)

    def keep_alive(self) -> None:
        """Start the worker when the levels are made, cannot be made, or take too long. Restart children that died.

        Raises:
            CommandError: children die too often to be restarted.
            SystemExit: a child has reported a wrong setting.
        """
        levels_ended = self._levels is not None and self._levels.poll() is not None
        if "worker" not in self._running and (levels_ended or time.monotonic() >= self._worker_at):
            print("starting the worker" + ("" if levels_ended else " beside them"), flush=True)
            self._launch("worker")
        self.restart_the_dead()

    def _launch(self, name: str) -> None:
        self._running[name] = self._spawn(name)

    def _spawn(
        self, *arguments: str, stdout: int | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            lethe(*arguments),
            env=self._environment | environment,
            start_new_session=True,
            stdin=self._alive,
            stdout=stdout,
            pass_fds=self._inherited,
        )

    def restart_the_dead(self) -> None:
        """Restart children that died.

        Raises:
            CommandError: children die too often to be restarted.
            SystemExit: a child has reported a wrong setting; a restart would fail in the same way.
        """
        for name, child in list(self._running.items()):
            if child.poll() is None:
                continue
            if child.returncode == 2 and not self._restarts:
                raise SystemExit(2)
            now = time.monotonic()
            self._restarts = [at for at in self._restarts if now - at < 60] + [now]
            if len(self._restarts) > _MAX_RESTARTS_PER_MINUTE:
                raise CommandError(
                    f"the {name} keeps dying (exit status {child.returncode}); its log is above"
                )
            print(f"the {name} died (exit status {child.returncode}); starting it again", flush=True)
            self._launch(name)

    def stop(self) -> None:
        """Stop all children. The gateway drains and the worker hands its run back; then all that still runs is killed.

        The next start continues the making of levels: the readings of finished parts are kept.
        """
        children = [*self._commands, *self._running.values(), *([self._levels] if self._levels else [])]
        for child in children:
            child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS + 1
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            # The process group still exists if a process that the child started still runs.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def lethe(*arguments: str) -> list[str]:
    """The command line of another `lethe` command."""
    return [sys.executable, "-m", "cli.main", *arguments]
