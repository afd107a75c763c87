"""The processes that `lethe up` watches over, played by small programs that say that they ran."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import up
from cli.failures import CommandError

LASTS = "import time; time.sleep(60)"
UNTIL_TOLD = "import pathlib, time\nwhile not pathlib.Path('told').exists(): time.sleep(0.02)"

Start = Callable[..., up.Children]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Children whose programs append a line to a file of their name; they run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    children = up.Children({})

    def started(*, levels: str, worker: str = LASTS) -> up.Children:
        programs = {"gateway": LASTS, "levels": levels, "worker": worker}
        monkeypatch.setattr(
            up,
            "_lethe",
            lambda name: [sys.executable, "-c", f"open('{name}', 'a').write('ran\\n')\n{programs[name]}"],
        )
        children.start()
        children.start_levels()
        return children

    yield started
    children.stop()


def times_run(name: str) -> int:
    file = Path(name)
    return len(file.read_text().splitlines()) if file.exists() else 0


def watch(children: up.Children, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        children.keep_alive()
        time.sleep(0.02)


def test_the_worker_begins_when_the_levels_are_made(start: Start) -> None:
    children = start(levels=UNTIL_TOLD)
    watch(children, lambda: times_run("levels") == times_run("gateway") == 1)
    for _ in range(10):
        children.keep_alive()
    assert times_run("worker") == 0
    Path("told").touch()
    watch(children, lambda: times_run("worker") == 1)
    assert times_run("levels") == 1


@pytest.mark.parametrize("levels", ["raise SystemExit(1)", "import os; os.kill(os.getpid(), 9)"])
def test_levels_that_fail_do_not_keep_the_worker_away(start: Start, levels: str) -> None:
    watch(start(levels=levels), lambda: times_run("worker") == 1)


def test_levels_that_take_too_long_do_not_either(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "_LEVELS_SECONDS", 0.0)
    watch(start(levels=LASTS), lambda: times_run("worker") == 1)


def test_a_worker_that_dies_is_started_again_and_no_more_than_makes_sense(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    children = start(levels="", worker="raise SystemExit(3)")
    with pytest.raises(CommandError, match="the worker keeps dying"):
        watch(children, lambda: False)
    assert 2 <= times_run("worker") <= 10
    assert "starting it again" in capsys.readouterr().out
