"""The servers that a run starts where the machine has none: real ones, and gone with the run however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.acceptance.installation import wait_until
from tests.own_servers import POSTGRES, REDIS

REPOSITORY = Path(__file__).parents[2]
A_RUN = """
import json, time
from tests.services import provide
servers = provide()
print(json.dumps(servers.addresses), flush=True)
time.sleep(600)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that others may enter, unlike pytest's own: under root, PostgreSQL runs as somebody else."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def run(place: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A process that plays pytest, and where its servers are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_TEST_")}
    with subprocess.Popen(
        [sys.executable, "-c", A_RUN],
        cwd=REPOSITORY,
        env=kept | {"LETHE_TEST_SERVERS": "own", "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def answers(addresses: dict[str, str]) -> list[bool]:
    """Whether PostgreSQL and Redis do."""
    found = []
    try:
        with psycopg.connect(addresses[POSTGRES].replace("+psycopg", ""), connect_timeout=3) as connection:
            row = connection.execute("SELECT current_setting('server_version_num')::int >= 180000").fetchone()
            found.append(row == (True,))
    except psycopg.OperationalError:
        found.append(False)
    try:
        with redis.Redis.from_url(addresses[REDIS]) as client:
            found.append(client.set("a", "b") is True and client.get("a") == b"b")
    except redis.RedisError:
        found.append(False)
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_they_answer_and_leave_nothing_behind(
    run: tuple[subprocess.Popen[str], dict[str, str]], place: Path, how: signal.Signals
) -> None:
    process, addresses = run
    assert answers(addresses) == [True, True]
    assert list(place.iterdir())
    process.send_signal(how)
    wait_until(lambda: not list(place.iterdir()), 60, what="the end of the servers")
    wait_until(lambda: answers(addresses) == [False, False], 60, what="the end of their answers")


def test_workers_of_one_run_share_them() -> None:
    """What the run has started is in the environment of whatever it starts."""
    script = (
        "import os, subprocess, sys; from tests.services import provide; servers = provide();"
        "code = subprocess.run([sys.executable, '-m', 'tests.services']).returncode; servers.stop(); sys.exit(code)"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_TEST_")}
    for mode, code in (("own", 0), ("nonsense", 1)):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env=kept | {"LETHE_TEST_SERVERS": mode},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
    assert "LETHE_TEST_SERVERS must be one of auto, found, own" in done.stderr
