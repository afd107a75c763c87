"""`lethe up`: what `make up` runs. The lines that it says to try next are taken at their word."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx

from tests.acceptance.conftest import USER_PREFIX
from tests.acceptance.following import follow
from tests.acceptance.installation import children_of, lives, wait_until
from tests.documents import FOLLOWED
from tests.modes import open_to_others
from tests.ports import free_port


def start(state: Path, data: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    with log.open("wb") as output:
        command = ["up", "--state", str(state), "--port", str(port), "--data", str(data)]
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *command],
            env=environment,
            stdout=output,
            stderr=output,
            umask=0,
        )


def until_up(process: subprocess.Popen[bytes], log: Path, data: Path) -> list[str]:
    """The lines it says to try next, about somebody in the data. It names nobody itself: its output is a log here."""

    def printed() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        return "Ctrl-C stops everything" in log.read_text()

    wait_until(printed, 400, what="lethe up")
    lines = re.findall(r"^  (\S+ -m cli\.main .*|curl .*)$", log.read_text(), re.MULTILINE)
    assert len(lines) == 7
    assert USER_PREFIX not in log.read_text()
    with (data / "interactions.csv").open(newline="") as file:
        events = Counter(row["user_id"] for row in csv.DictReader(file))
    (user, _), *_ = events.most_common(1)
    return [line.replace("USER", user) for line in lines]


def output_of(line: str, **environment: str) -> str:
    """As in another terminal."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    done = subprocess.run(
        ["bash", "-c", line],
        env=others | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def test_up_stops_on_ctrl_c_works_as_printed_and_goes_on_where_it_was(
    tmp_path: Path, small_data: Path
) -> None:
    state, port = tmp_path / "state", free_port()
    first_log, second_log, third_log = (tmp_path / f"{name}.log" for name in ("first", "second", "third"))

    def run(line: str) -> dict[str, object]:
        answer: dict[str, object] = json.loads(
            output_of(line, LETHE_API_KEY=(state / "demo-key").read_text())
        )
        return answer

    first = start(state, small_data, port, first_log)
    try:
        printed = until_up(first, first_log, small_data)
        assert first_log.read_text().count((state / "demo-key").read_text()) == 1
        wait_until(lambda: bool(_child(first.pid, "levels")), 60, what="the making of levels")
        started = children_of(first.pid)
        # More than once, as people do.
        first.send_signal(signal.SIGINT)
        first.send_signal(signal.SIGINT)
        assert first.wait(30) == 0
        wait_until(lambda: not any(map(lives, started)), 10, what="the end of its children")
    finally:
        first.kill()
        first.wait()
    assert "stopping" in first_log.read_text()
    assert "Traceback" not in first_log.read_text()
    assert (state / "secrets.json").is_file()
    assert (state / "demo-key").is_file()
    assert open_to_others(state) == []

    second = start(state, small_data, port, second_log)
    try:
        assert until_up(second, second_log, small_data) == printed
        assert "a version is live already" in second_log.read_text()
        told_recommend, told_forget, told_status, told_doctor, recommend, forget, jobs = printed
        assert run(recommend)["personalised"] is True
        assert "computed by version" in output_of(told_recommend)
        request = run(forget)
        assert request["status"] == "queued"
        assert run(jobs)["runs"]
        assert "not personal" in output_of(told_recommend)
        assert "serves the live version" in output_of(told_status)
        assert "failure" not in output_of(told_doctor)
        assert list((state / "broker").rglob("*"))
        # Whoever kills a part of it sees it come back.
        gateway = _child(second.pid, "gateway")
        os.kill(gateway, signal.SIGKILL)
        wait_until(
            lambda: _answers(port) and _child(second.pid, "gateway") != gateway, 90, what="the restart"
        )
        # Whoever kills the whole of it finds nothing left, and starts it again at once.
        left = children_of(second.pid)
        assert len(left) >= 3
        second.kill()
        second.wait()
        third = start(state, small_data, port, third_log)
        try:
            wait_until(lambda: not any(map(lives, left)), 15, what="the end of its children")
            until_up(third, third_log, small_data)
            assert run(recommend)["fallback_reason"] == "suppressed"
            # It waits for completion.
            assert "what the service knew is erased" in output_of(told_forget)
            assert run(forget)["status"] == "completed"
            # Whoever follows the documents gets what they say.
            (tmp_path / ".lethe").symlink_to(state)
            for document in FOLLOWED:
                follow(document, tmp_path, port)
        finally:
            third.send_signal(signal.SIGTERM)
            assert third.wait(90) == 0
    finally:
        second.kill()
        second.wait()
    assert not _answers(port)
    assert open_to_others(state) == []


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _child(parent: int, name: str) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for child in children:
        arguments = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if name.encode() in arguments:
            return int(child)
    return 0
