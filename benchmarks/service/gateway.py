"""A gateway of its own in a temporary folder: the embedded default, without a worker unless it is asked for.

Accepting a request needs only the gateway and the database. Commands run as processes, as an operator runs them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import CODE, LEFT_BEHIND, STATE, TAIL_LINES, Service, free_port


@dataclass(frozen=True)
class Site:
    """An installation that is set up. It can be started more than once, with different settings."""

    folder: Path
    settings: dict[str, str]

    @contextmanager
    def running(self, *commands: str, **settings: str) -> Iterator[Service]:
        """Start the gateway and the services that `commands` name, and yield when the gateway is ready.

        All of them end with the block.
        """
        with self.replicas(1, *commands, **settings) as (gateway,):
            yield gateway

    @contextmanager
    def replicas(self, count: int, *commands: str, **settings: str) -> Iterator[list[Service]]:
        """As `running`, with so many gateways on the same database; each has a port of its own, all one log."""
        ports = [free_port() for _ in range(count)]
        services: list[Service] = []
        try:
            for command, port in (
                *(("gateway", port) for port in ports),
                *((name, ports[0]) for name in commands),
            ):
                log = self.folder / f"{command}.log"
                with log.open("ab") as output:
                    process = subprocess.Popen(
                        _lethe(command),
                        cwd=self.folder,
                        env=self._environment({"LETHE_PORT": str(port), **settings}),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
                services.append(Service(f"http://127.0.0.1:{port}", process, self.folder / STATE, log))
            gateways = services[:count]
            for gateway in gateways:
                gateway.wait_until_ready()
            yield gateways
        finally:
            for service in reversed(services):
                service.stop()

    def run(self, *arguments: str) -> str:
        """Run a command; what it printed.

        Raises:
            ServiceUnmeasurable: the command failed.
        """
        done = subprocess.run(
            _lethe(*arguments),
            cwd=self.folder,
            env=self._environment({}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
            raise ServiceUnmeasurable(f"'lethe {arguments[0]}' failed; its last lines are above", tail)
        return done.stdout.strip()

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
        paths = os.pathsep.join([str(CODE), *filter(None, [inherited.get("PYTHONPATH")])])
        return {**inherited, **self.settings, **settings, "PYTHONPATH": paths}


@contextmanager
def set_up(data: Path | None, *, home: Path | None = None, database_url: str | None = None) -> Iterator[Site]:
    """Migrate, fit and issue a key in a temporary folder, which is deleted at the end.

    Args:
        data: interactions; None for the demo's generated users.
        home: folder of a stopped installation made from the same data. Only its base is used.
        database_url: an empty database; None for SQLite in the folder.

    Raises:
        ServiceUnmeasurable: a command failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="lethe-bench-"))
    try:
        state = folder / STATE
        if home is not None:
            shutil.copytree(home / "base", state / "base", ignore=shutil.ignore_patterns(*LEFT_BEHIND))
        state.mkdir(exist_ok=True)
        site = Site(
            folder,
            {
                "LETHE_DATABASE_URL": database_url or f"sqlite:///{state}/lethe.sqlite3",
                "LETHE_BROKER_URL": f"filesystem://{state}/broker",
                "LETHE_STORE_URL": str(state / "store"),
                "LETHE_BASE": str(state / "base"),
                "LETHE_SUBJECT_KEY": secrets.token_hex(32),
                "LETHE_AUDIT_KEY": secrets.token_hex(32),
                "LETHE_SIGNING_KEY": secrets.token_hex(32),
            },
        )
        source: Sequence[str] = ["--data", str(data.resolve())] if data is not None else []
        site.run("migrate")
        site.run("init", "--no-levels", *source)
        (state / "demo-key").write_text(site.run("keys", "issue", "bench", "--scope", "all"))
        yield site
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lethe(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", *arguments]
