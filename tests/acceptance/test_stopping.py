"""Ctrl-C: an installation and its commands end at once, quietly, and leave no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import commands
from tests.acceptance.installation import children_of, lives, wait_until
from tests.ports import free_port

# Far more than it takes, and less than what would be waited for: a fit, a run, the pool's own patience.
SECONDS = 30


@contextmanager
def started(log: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments],
            env=kept | environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def running(process: subprocess.Popen[bytes], command: str) -> list[int]:
    """The processes among its descendants that run this command of ours."""
    found = []
    for child in children_of(process.pid):
        try:
            arguments = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        if command.encode() in arguments:
            found.append(child)
    return found


def test_up_ends_while_the_first_adapter_is_being_fitted(tmp_path: Path, small_data: Path) -> None:
    log = tmp_path / "log"
    arguments = [
        "up",
        "--state",
        str(tmp_path / "state"),
        "--port",
        str(free_port()),
        "--data",
        str(small_data),
    ]
    with started(log, *arguments) as process:

        def there() -> bool:
            assert process.poll() is None, log.read_text()[-3000:]
            return "adapter: " in log.read_text() and bool(running(process, "init"))

        wait_until(there, 400, what="a fit")
        descendants = children_of(process.pid)
        assert descendants
        # More than once, and in both ways.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        wait_until(lambda: not any(map(lives, descendants)), 10, what="the end of all of them")
    assert "stopping" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_command_that_is_interrupted_says_so_and_is_told_from_one_that_is_done(tmp_path: Path) -> None:
    environment = {
        "LETHE_ENVIRONMENT": "development",
        "LETHE_DATABASE_URL": f"sqlite:///{tmp_path}/lethe.sqlite3",
        "LETHE_STORE_URL": str(tmp_path / "store"),
        "LETHE_BASE": str(tmp_path / "base"),
    }
    migrated = commands.run(["migrate"], commands.without_settings() | environment, 60)
    assert migrated.returncode == 0, migrated.stderr
    log = tmp_path / "log"
    process = commands.start(["init"], commands.without_settings() | environment, log)
    try:
        # The base is there, so the adapter is being fitted.
        wait_until((tmp_path / "base").is_dir, 200, what="the base")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
    finally:
        process.kill()
    assert log.read_text().splitlines()[-1] == "lethe: interrupted"
    assert "Traceback" not in log.read_text()


def test_a_gateway_that_is_still_loading_ends_at_once(tmp_path: Path) -> None:
    environment = {
        "LETHE_ENVIRONMENT": "development",
        "LETHE_DATABASE_URL": f"sqlite:///{tmp_path}/lethe.sqlite3",
        "LETHE_BROKER_URL": f"filesystem://{tmp_path}/broker",
        "LETHE_STORE_URL": str(tmp_path / "store"),
        "LETHE_BASE": str(tmp_path / "base"),
        "LETHE_PORT": str(free_port()),
    }
    migrated = commands.run(["migrate"], commands.without_settings() | environment, 60)
    assert migrated.returncode == 0, migrated.stderr
    with started(tmp_path / "log", "gateway", **environment) as process:
        # It has read the database, and now loads torch.
        wait_until(
            lambda: f"torch{os.sep}" in Path(f"/proc/{process.pid}/maps").read_text(), 60, what="torch"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
