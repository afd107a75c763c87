"""A whole installation as real processes, in either size, for tests that kill parts of it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.broker import QUEUE
from tests import commands
from tests.commands import Command
from tests.ports import free_port

READY_SECONDS = 90.0
_NOBODY_LISTENS = re.compile(
    r"^Traceback \(most recent call last\):\n(?:  .*\n)+BrokenPipeError: .*$", re.MULTILINE
)


@dataclass(frozen=True)
class Size:
    """Where the parts of an installation live."""

    name: str
    database_url: str
    broker_url: str
    lose_broker: Callable[[], None]
    put_message: Callable[[bytes], None]


@dataclass
class Process:
    name: str
    popen: Command
    log: Path

    def kill(self) -> None:
        """SIGKILL to the whole process group: nobody gets to clean up."""
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def terminate(self) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGTERM)
            try:
                self.popen.wait(45)
            except subprocess.TimeoutExpired:
                self.kill()


@dataclass
class Installation:
    """Settings, command line, processes and an HTTP client of one installation."""

    root: Path
    size: Size
    base: Path
    extra: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: list[Process] = field(default_factory=list)
    secrets: dict[str, str] = field(
        default_factory=lambda: {
            f"LETHE_{name}_KEY": secrets.token_hex(32) for name in ("SUBJECT", "AUDIT", "SIGNING")
        }
    )
    key: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("LETHE_")},
            "LETHE_DATABASE_URL": self.size.database_url,
            "LETHE_BROKER_URL": self.size.broker_url,
            "LETHE_STORE_URL": str(self.root / "store"),
            "LETHE_BASE": str(self.base),
            "LETHE_PORT": str(self.port),
            "LETHE_LEASE_SECONDS": "6",
            "LETHE_HEARTBEAT_SECONDS": "1",
            "LETHE_SWEEP_SECONDS": "0.5",
            "LETHE_REDISPATCH_SECONDS": "3",
            "LETHE_OUTAGE_PAUSE_SECONDS": "0.5",
            "LETHE_LONGEST_OUTAGE_PAUSE_SECONDS": "2",
            "LETHE_FEED_LEASE_SECONDS": "3",
            **self.secrets,
            **self.extra,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lethe(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = commands.run(arguments, self.environment, 400)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def set_up(self, data: Path, *, epochs: int) -> None:
        """Schema, first version, key. Few epochs: the tests are about the path, not about the recommendations."""
        self.lethe("migrate")
        self.lethe("init", "--data", str(data), "--epochs", str(epochs))
        self.key = self.lethe("keys", "issue", "tests", "--scope", "all").stdout.strip()

    def start(self, name: str, **environment: str) -> Process:
        log = self.root / f"{name}-{len(self.processes)}.log"
        process = Process(name, commands.start([name], self.environment | environment, log), log)
        self.processes.append(process)
        return process

    def restart(self, ended: Process) -> None:
        """Start it anew in the same place, with a log of its own."""
        started = self.start(ended.name)
        ended.popen, ended.log = started.popen, started.log

    def start_gateway(self, **environment: str) -> Process:
        """Start a gateway and wait until it is ready; another port makes it a second replica."""
        process = self.start("gateway", **environment)
        url = f"http://127.0.0.1:{environment.get('LETHE_PORT', self.port)}"

        def ready() -> bool:
            assert process.popen.poll() is None, process.log.read_text()[-3000:]
            try:
                return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, READY_SECONDS, what=f"the gateway ({process.log})")
        return process

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()

    def client(self, port: int | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{port or self.port}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=30,
        )

    def logs(self) -> str:
        """All logs, without what children of killed workers say: that nobody listens to them any more."""
        logs = {path.name: path.read_text(errors="replace") for path in sorted(self.root.glob("*.log"))}
        return "\n".join(
            _NOBODY_LISTENS.sub("", log) if name.startswith("worker") else log for name, log in logs.items()
        )

    def everything_written(self) -> bytes:
        """All bytes of logs, store, embedded database and embedded broker."""
        return b"\n".join(path.read_bytes() for path in sorted(self.root.rglob("*")) if path.is_file())


def wait_until(condition: Callable[[], bool], seconds: float, *, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} took more than {seconds} s"
        time.sleep(0.1)


def completed(client: httpx.Client, location: str, seconds: float = 240) -> dict[str, Any]:
    """The forget request once it is done; fails at once if it needs attention."""
    seen: dict[str, Any] = {}

    def done() -> bool:
        response = client.get(location)
        assert response.status_code == 200, response.text
        seen.update(response.json())
        if seen["status"] == "needs_attention":
            raise AssertionError(client.get(seen["run"]).text[:4000])
        return bool(seen["done"])

    wait_until(done, seconds, what="completion")
    return seen


def suppressed(client: httpx.Client, user: str) -> bool:
    """Whether the answer is as for a suppressed user; not yet, where it was broken off because it may not leave."""
    try:
        answer = client.get("/recommend", params={"user_id": user}).json()
    except httpx.RemoteProtocolError:
        return False
    return bool(answer["fallback_reason"] == "suppressed")


def run_of(client: httpx.Client, request: dict[str, object]) -> dict[str, object]:
    run: dict[str, object] = client.get(str(request["run"])).json()
    return run


def until_idle(client: httpx.Client) -> None:
    """Until no run waits or works, and none is due.

    A consolidation leaves out whoever asks before it is published, and their own run then has nothing to publish.
    """

    def idle() -> bool:
        runs = client.get("/runs").json()["runs"]
        budget = client.get("/adapters").json()["consolidation"]["items"]
        return all(run["status"] not in ("queued", "running") for run in runs) and all(
            item["left"] != 0 for item in budget
        )

    wait_until(idle, 120, what="an idle worker")


def assert_completed_once(client: httpx.Client, run_id: str) -> None:
    """One completion, one published version: a second execution would have left traces."""
    run = client.get(f"/runs/{run_id}").json()
    assert run["status"] == "completed"
    published = [v for v in client.get("/adapters").json()["versions"] if v["run"] == f"/runs/{run_id}"]
    assert len(published) == 1
    accepted = [attempt for attempt in run["attempts"] if attempt["accepted"]]
    assert accepted


def children_of(process: int) -> list[int]:
    """The processes it has started, and theirs."""
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [descendant for child in map(int, found) for descendant in (child, *children_of(child))]


def lives(process: int) -> bool:
    """Not over, nor only waiting for somebody to look at how it ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def empty_folder(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def put_file(folder: Path, message: bytes) -> None:
    """A message of the embedded broker, as it would stand there after whatever happened to it."""
    (folder / f"0_{secrets.token_hex(4)}.{QUEUE}.msg").write_bytes(message)


def raw_id_pattern(user_id: str) -> re.Pattern[bytes]:
    """The id as a word of its own, also percent-encoded or inside a path."""
    return re.compile(rb"(?<![0-9A-Za-z])" + re.escape(user_id.encode()) + rb"(?![0-9A-Za-z])")
