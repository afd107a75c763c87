"""Servers and clients as processes, each pinned to a processor of its own."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serve.open_loop import Outcome, Plan
from benchmarks.serve.site import ServeSite
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import CODE, free_port

_READY_SECONDS = 180.0
_STOP_SECONDS = 20.0
_TAIL = 2000


@dataclass(frozen=True)
class Cores:
    """Where servers and clients run. The same processor for both where the machine has only one."""

    server: int
    client: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[-1])


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[bytes]

    @property
    def pids(self) -> list[int]:
        """The process and those that it has started."""
        found, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                left.extend(map(int, task.read_text().split()))
        return found

    def processor_seconds(self) -> float:
        """What the server has taken of its processor so far."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def has_mapped(self, library: str) -> bool:
        """Whether the process has mapped a shared library from a folder of this name."""
        return f"/{library}/" in Path(f"/proc/{self.process.pid}/maps").read_text()

    def resident(self) -> int:
        """Resident bytes. Cheaper than `memory`, which makes the kernel walk through all pages."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def memory(self) -> dict[str, int]:
        """Resident bytes, and those that count only for their share where processes have pages in common."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
        return {"resident": kilobytes["Rss"] * 1024, "proportional": kilobytes["Pss"] * 1024}


@contextmanager
def server(
    command: Sequence[str], port: int, ready: str, log: Path, core: int, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Start a server on a processor, and wait until its path `ready` answers 200.

    A ``PYTHONPATH`` of the environment comes after our code.

    Raises:
        ServiceUnmeasurable: it ended, or was not ready in time.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    paths = os.pathsep.join(
        [str(CODE), *filter(None, [environment.get("PYTHONPATH"), inherited.get("PYTHONPATH")])]
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            cwd=log.parent,
            env={**inherited, **threads, **environment, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # Before it starts a thread or another process: these inherit it.
    os.sched_setaffinity(process.pid, {core})
    try:
        _wait(process, f"http://127.0.0.1:{port}{ready}", log)
        yield Server(port, process)
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise ServiceUnmeasurable("a server did not start", log.read_text(errors="replace")[-_TAIL:])


def _end(process: subprocess.Popen[bytes]) -> None:
    for signal_number in (15, 9):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(_STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
        return


@contextmanager
def gateways(site: ServeSite, count: int, cores: Cores, **settings: str) -> Iterator[list[Server]]:
    """Gateways of the site, ready to serve."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                server(
                    [sys.executable, "-m", "cli.main", "gateway"],
                    port,
                    "/readyz",
                    site.folder / f"gateway-{number}.log",
                    cores.server,
                    {**site.environment, "LETHE_PORT": str(port), **settings},
                )
            )
            for number, port in enumerate(free_port() for _ in range(count))
        ]


def send(plan: Plan) -> Outcome:
    """Send from a process of its own.

    Raises:
        ServiceUnmeasurable: the client failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serve.open_loop"],
        cwd=CODE,
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceUnmeasurable("the client failed", done.stderr[-_TAIL:])
    return Outcome(**json.loads(done.stdout))


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """Percentiles: measured values, by nearest rank."""
    ordered = sorted(seconds)
    shares = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    return {name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in shares}


def rates(server_: Server, requests: Sequence[str], cores: Cores, seconds: float) -> dict[str, Any]:
    """Throughput with 32 connections, idle latency with one, and latency at 70 % of the throughput (open loop)."""

    def plan(connections: int, per_second: float | None = None) -> Plan:
        return Plan("127.0.0.1", server_.port, requests, connections, seconds, per_second, core=cores.client)

    # What happens once, like a first batch of some length, is not measured.
    send(plan(4))
    before = server_.processor_seconds()
    full = send(plan(32))
    processor = server_.processor_seconds() - before
    idle = send(plan(1))
    per_second = len(full.seconds) / full.lasted
    loaded = send(plan(64, 0.7 * per_second))
    return {
        "per_second": per_second,
        "processor_ms": 1e3 * processor / len(full.seconds),
        "idle": spread(idle.seconds),
        "full": spread(full.seconds),
        "loaded": spread(loaded.seconds),
        "not_200": sum(status != 200 for outcome in (full, idle, loaded) for status in outcome.statuses),
    }
