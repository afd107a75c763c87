"""`lethe bench forget` on a prepared installation, end to end; broken; and interrupted. Nothing may stay behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import USER_PREFIX
from tests.acceptance.installation import Installation, Size, empty_folder, put_file
from tests.commands import start


@pytest.fixture(scope="module")
def home(small_data: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `lethe up` leaves when it is stopped, from a quick fit."""
    state = tmp_path_factory.mktemp("home")
    broker = state / "broker"
    embedded = Size(
        "embedded",
        f"sqlite:///{state}/lethe.sqlite3",
        f"filesystem://{broker}",
        lambda: empty_folder(broker),
        lambda message: put_file(broker / "messages", message),
    )
    made = Installation(state, embedded, base_folder)
    made.set_up(small_data, epochs=8)
    shutil.copytree(base_folder, state / "base")
    (state / "secrets.json").write_text(json.dumps(made.secrets))
    (state / "demo-key").write_text(made.key)
    return state


class Bench:
    """The command as a process, with a folder of its own for temporary files."""

    def __init__(self, folder: Path, *arguments: str, command: str = "forget") -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.log = folder / "log"
        # What it measures are processes of its own, which it starts from nothing.
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        self.process = start(["bench", command, *arguments], environment, self.log)

    def wrote(self) -> str:
        return self.log.read_text()

    def survivors(self) -> list[int]:
        """Processes that it started, directly or not, and that still live. The command itself is forked (`process`)."""
        mark = f"TMPDIR={self.temporary}".encode()
        return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in _read(path)]

    def folders(self) -> list[Path]:
        """What it made for the time being; torch keeps a cache of its own there."""
        return list(self.temporary.glob("lethe-*"))

    def end(self) -> None:
        """Whatever a failed test left."""
        self.process.kill()
        for process in self.survivors():
            os.kill(process, signal.SIGKILL)
        self.process.wait()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # Another user's, or gone.
        return b""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Bench]]:
    benches: list[Bench] = []
    yield benches
    for bench in benches:
        bench.end()


def _content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_two_requests_are_timed_on_a_copy(
    home: Path, small_data: Path, tmp_path: Path, started: list[Bench]
) -> None:
    result_file, tables = tmp_path / "result.json", tmp_path / "result.md"
    before = _content(home)
    bench = Bench(
        tmp_path, "--requests", "2", "--seed", "3", "--home", str(home), "--data", str(small_data),
        "--json", str(result_file), "--markdown", str(tables),
    )  # fmt: skip
    started.append(bench)
    assert bench.process.wait(300) == 0, bench.wrote()[-3000:]

    result = json.loads(result_file.read_text())
    assert (result["benchmark"], result["requests"], result["seed"]) == ("forget", 2, 3)
    assert [row["number"] for row in result["rows"]] == [1, 2]
    for row in result["rows"]:
        assert (row["status"], row["outcome"]) == ("completed", "erased")
        assert 0 < row["suppressed_seconds"] < row["completed_seconds"]
        assert row["attempts"][0]["method"] == "ucan"
        assert row["attempts"][-1] == {**row["attempts"][-1], "method": row["published_by"], "accepted": True}
        assert sum(attempt["seconds"] for attempt in row["attempts"]) < row["completed_seconds"]
    assert sum(result["published_by"].values()) == result["completed"] == 2
    assert result["completed_seconds"]["max"] == max(row["completed_seconds"] for row in result["rows"])
    assert result["load"]["answers"] > 5
    assert (result["load"]["non_200"], result["load"]["mixed"]) == (0, 0)
    assert "| 2 | completed |" in tables.read_text()

    for text in (result_file.read_text(), tables.read_text(), bench.wrote()):
        assert USER_PREFIX not in text
    assert _content(home) == before
    assert bench.folders() == []
    assert bench.survivors() == []


def test_an_installation_that_does_not_come_up_ends_it_with_the_log(
    tmp_path: Path, started: list[Bench]
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "lethe.sqlite3").write_text("this is no database " * 100)
    bench = Bench(tmp_path, "--home", str(broken))
    started.append(bench)
    assert bench.process.wait(120) == 2
    *log, last = bench.wrote().splitlines()
    assert last == "lethe: the installation ended with status 2; its log's end is above"
    assert "LETHE_DATABASE_URL" in log[-1]
    assert "file is not a database" in log[-1]
    assert bench.folders() == []
