"""The processes that `lethe up` starts and watches over."""

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

_LEVELS_SECONDS = 600.0
_MAX_RESTARTS_PER_MINUTE = 5


@dataclass(frozen=True)
class Command:
    name: str
    process: subprocess.Popen[bytes]


class Children:
    """Commands that end, then gateway, the making of levels and, after it, the worker. Each in a session of its own so
    that Ctrl-C reaches them through us, in order, and that nothing which they started outlives them.

    A worker that began before would take cores from the making of levels, only to wait for them (`worker.levels`). It
    starts after `_LEVELS_SECONDS` all the same: there may be requests that are due.

    Args:
        lock: an open file that each of them keeps open as long as it, or anything that it started, lives.
    """

    def __init__(self, environment: Mapping[str, str], lock: int | None = None) -> None:
        self._environment = {**environment, STARTED_BY_UP: "1"}
        self._inherited = () if lock is None else (lock,)
        # Nothing is ever written to it. Nobody else has the end that is open here: it closes with this process.
        self._alive, self._open = os.pipe()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: list[subprocess.Popen[bytes]] = []
        self._restarts: list[float] = []
        self._levels: subprocess.Popen[bytes] | None = None
        self._worker_at = math.inf

    def run(self, *arguments: str) -> None:
        """Wait for a command.

        Raises:
            SystemExit, CommandError: as `finish` does.
        """
        self.finish(self.begin(*arguments, capture=False))

    def begin(self, *arguments: str, capture: bool = True) -> Command:
        """Start a command that ends by itself."""
        command = Command(arguments[0], self._spawn(*arguments, stdout=subprocess.PIPE if capture else None))
        self._commands.append(command.process)
        return command

    def finish(self, command: Command) -> str:
        """Wait for it; what it printed, if that was captured.

        Raises:
            SystemExit: it failed, and has said why; with its exit code.
            CommandError: it was killed.
        """
        output = command.process.communicate()[0] or b""
        status = command.process.returncode
        if status < 0:
            raise CommandError(f"'lethe {command.name}' was killed by signal {-status}")
        if status:
            raise SystemExit(status)
        return output.decode().strip()

    def start(self) -> None:
        """Requests are accepted and their users suppressed from here on; they are carried out once the worker is up."""
        self._launch("gateway")

    def start_levels(self) -> None:
        """Not started again if it dies: then the worker's first run makes them."""
        # Others write to the terminal meanwhile: no bar, which they would write across.
        self._levels = self._spawn("levels", TTY_INTERACTIVE="0")
        self._worker_at = time.monotonic() + _LEVELS_SECONDS
        print("making the users' levels in the background; forget requests wait for the worker", flush=True)

    def keep_alive(self) -> None:
        """Start the worker when the levels are made, cannot be, or take too long; start again whatever died meanwhile.

        Raises:
            CommandError: they die faster than it makes sense to start them.
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
        """
        Raises:
            CommandError: they die faster than it makes sense to start them.
            SystemExit: one has said that a setting is wrong, and would say so again.
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
        """The gateway drains, the worker hands its run back; what then still runs, and whatever it started, is killed.

        Levels half made are gone on with by the next start: of each part that is done the readings are kept.
        """
        children = [*self._commands, *self._running.values(), *([self._levels] if self._levels else [])]
        for child in children:
            child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS + 1
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            # The group outlives its leader where a process of it does.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def lethe(*arguments: str) -> list[str]:
    """The command line of another command of ours."""
    return [sys.executable, "-m", "cli.main", *arguments]
