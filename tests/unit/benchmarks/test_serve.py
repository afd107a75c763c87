"""`lethe bench serve`: an open loop that keeps to its times, and a check that finds what must not be answered."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.commands import bench_app
from benchmarks.report.serve import serve
from benchmarks.serve.open_loop import BROKEN, Outcome, Plan, send
from benchmarks.serve.processes import spread
from benchmarks.serve.swaps import _check, _Swaps
from tests.unit.benchmarks.serve_results import RATES, RESULT, SIZE, swaps

OLD, NEW = "old", "new"
RANKINGS = {OLD: [[f"a{n}" for n in range(10)]], NEW: [[f"b{n}" for n in range(10)]]}


@contextmanager
def slow_server(pause: float, *, breaks: bool = False) -> Iterator[int]:
    """Answers each request after a pause, one at a time on each connection; or closes without an answer."""
    ready, port, loops = threading.Event(), [0], []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readline():
                while (await reader.readline()) != b"\r\n":
                    pass
                await asyncio.sleep(pause)
                if breaks:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port[0] = server.sockets[0].getsockname()[1]
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield port[0]
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def plan(port: int, **options: Any) -> Plan:
    return Plan("127.0.0.1", port, ["GET / HTTP/1.1\r\nHost: h\r\n\r\n"], **options)


def test_requests_that_wait_for_a_free_connection_count_from_when_they_were_due() -> None:
    with slow_server(0.05) as port:
        outcome = send(plan(port, connections=1, seconds=0.5, per_second=100, keep=True))
    # One connection answers twenty a second. All that was due was sent, and the last ones have waited long.
    assert len(outcome.seconds) > 25
    assert set(outcome.statuses) == {200}
    assert set(outcome.bodies) == {"ok"}
    assert max(outcome.seconds) > 0.5
    assert outcome.lasted > 25 * 0.05


def test_a_closed_loop_sends_the_next_request_with_the_answer() -> None:
    with slow_server(0.01) as port:
        outcome = send(plan(port, connections=2, seconds=0.3))
    assert set(outcome.statuses) == {200}
    assert 2 <= len(outcome.seconds) <= 2 * 0.4 / 0.01


def test_a_connection_that_breaks_is_counted_and_opened_again() -> None:
    with slow_server(0.0, breaks=True) as port:
        outcome = send(plan(port, connections=1, seconds=0.2, per_second=50))
    assert set(outcome.statuses) == {BROKEN}
    assert len(outcome.statuses) > 1


def answers(*found: tuple[float, float, str, str]) -> Outcome:
    """One answer each: when it was due, when it came, its label, and the version that ranked its items."""
    outcome = Outcome()
    for due, ended, version, ranked in found:
        items = [{"item_id": item} for item in RANKINGS.get(ranked, [["x"]])[0]]
        outcome.statuses.append(200)
        outcome.sent.append(0)
        outcome.seconds.append(ended - due)
        outcome.ended.append(ended)
        outcome.bodies.append(json.dumps({"personalised": True, "version": version, "items": items}))
    return outcome


SWAPPED = _Swaps(moved=[10.0], followed=[10.5], digests=[NEW])


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        ((1.0, 2.0, OLD, OLD), {}),
        ((9.9, 10.2, OLD, OLD), {"last_old": [pytest.approx(0.2)]}),
        ((9.9, 10.2, NEW, NEW), {}),
        ((9.9, 10.2, NEW, OLD), {"mislabelled": 1}),
        ((9.9, 10.2, NEW, "neither"), {"torn": 1}),
        ((10.6, 10.7, OLD, OLD), {"old_from_cache": 1, "last_old": [pytest.approx(0.7)]}),
    ],
)
def test_an_answer_is_checked_against_the_versions_that_may_have_computed_it(
    answer: tuple[float, float, str, str], counted: dict[str, Any]
) -> None:
    found = _check(answers(answer), SWAPPED, RANKINGS, 1)
    usual = {"failed": 0, "fallbacks": 0, "torn": 0, "mislabelled": 0, "old_from_cache": 0, "last_old": []}
    assert {name: found[name] for name in usual} == usual | counted


def test_percentiles_are_measured_values() -> None:
    assert spread([4.0, 1.0, 3.0, 2.0]) == {"p50": 2.0, "p95": 4.0, "p99": 4.0, "max": 4.0}


def test_the_table_says_what_was_left_out() -> None:
    swapped = swaps(2, {"first_tenth": 1e6, "last_tenth": 2e6})
    size = SIZE | {
        "cached": RATES,
        "peers": [{"peer": "fastapi", **RATES}, {"peer": "mosec", "left_out": "not installed there"}],
        "swaps": swapped,
        "swaps_with_cache": swapped,
        "replicas": swapped,
        "two_processes": [{"resident": 3e6, "proportional": 2e6}] * 2,
    }
    text = "\n".join(serve(RESULT | {"sizes": [size]}))
    assert "| raw | 100.0 | 1.00 | 10.00 | 1.0 |" in text
    assert "| fastapi | 90.0 | 0.90 | 1.00 | 2.0 | 1.0 | 2.0 | 4.0 | -156.0 | 0 |" in text
    assert "Left out: mosec: not installed there." in text
    assert "6 MB as each sees it, and 4 MB together" in text


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    for arguments in (
        ["--size", "huge"],
        ["--swaps", "3"],
        ["--store", "ftp://somewhere"],
        ["--swap-load", "0"],
        ["--uvloop", str(tmp_path)],
    ):
        assert CliRunner().invoke(bench_app, ["serve", *arguments]).exit_code == 2
