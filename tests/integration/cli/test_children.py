"""The processes that `lethe up` watches over, played by small programs that say that they ran."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cli.children
import cli.holding
from cli.children import Children
from cli.failures import CommandError
from cli.holding import hold
from tests.acceptance.installation import lives

LASTS = "import time; time.sleep(60)"
UNTIL_TOLD = "import pathlib, time\nwhile not pathlib.Path('told').exists(): time.sleep(0.02)"

Start = Callable[..., Children]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Children whose programs append a line to a file of their name; they run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    children = Children({})

    def started(*, levels: str, worker: str = LASTS) -> Children:
        programs = {"gateway": LASTS, "levels": levels, "worker": worker}
        monkeypatch.setattr(
            cli.children,
            "lethe",
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


def watch(children: Children, until: Callable[[], bool]) -> None:
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
    monkeypatch.setattr(cli.children, "_LEVELS_SECONDS", 0.0)
    watch(start(levels=LASTS), lambda: times_run("worker") == 1)


def test_a_worker_that_dies_is_started_again_and_no_more_than_makes_sense(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    children = start(levels="", worker="raise SystemExit(3)")
    with pytest.raises(CommandError, match="the worker keeps dying"):
        watch(children, lambda: False)
    assert 2 <= times_run("worker") <= 10
    assert "starting it again" in capsys.readouterr().out


def test_a_wrong_setting_is_said_once(start: Start) -> None:
    children = start(levels="", worker="raise SystemExit(2)")
    with pytest.raises(SystemExit, match="2"):
        watch(children, lambda: False)
    assert times_run("worker") == 1


def test_whatever_a_child_started_ends_with_it(start: Start) -> None:
    """Also what ignores a polite kill, and what a child that did end has left behind."""
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    leaves = (
        "import pathlib, subprocess, sys\n"
        f"left = subprocess.Popen([sys.executable, '-c', {ignores + '; ' + LASTS!r}])\n"
        f"pathlib.Path('orphan').write_text(str(left.pid))\n{LASTS}"
    )
    children = start(levels=leaves)
    orphan = Path("orphan")
    watch(children, lambda: orphan.exists() and orphan.read_text().isdigit())
    assert lives(int(orphan.read_text()))
    children.stop()
    watch(Children({}), lambda: not lives(int(orphan.read_text())))


def test_a_command_that_fails_has_said_why_and_one_that_is_killed_has_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = {
        "fails": "raise SystemExit(2)",
        "killed": "import os; os.kill(os.getpid(), 9)",
        "says": "print('x')",
        "says more later": f"print('x'); print({cli.children.INITIALISED!r}); print('y')",
    }
    monkeypatch.setattr(cli.children, "lethe", lambda name: [sys.executable, "-c", programs[name]])
    children = Children({})
    with pytest.raises(SystemExit, match="2"):
        children.run("fails")
    with pytest.raises(CommandError, match="'lethe killed' was killed by signal 9"):
        children.run("killed")
    assert children.finish(children.begin("says")) == "x"
    capsys.readouterr()
    initialising = children.begin("says more later")
    children.pass_on(initialising)
    assert (capsys.readouterr().out, children.finish(initialising)) == ("x\n", "y")
    with pytest.raises(SystemExit, match="2"):
        children.pass_on(children.begin("fails"))
    children.stop()


def test_what_it_has_started_ends_when_it_is_killed(tmp_path: Path) -> None:
    """A program that plays `lethe up`; its child is a real command's first steps."""
    child = (
        "import os, pathlib, time; from cli.stopping import end_with_lethe_up; end_with_lethe_up()\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    up = (
        "import os, sys, time, cli.children; from cli.children import Children\n"
        f"cli.children.lethe = lambda name: [sys.executable, '-c', {child!r}]\n"
        "Children(dict(os.environ)).start(); time.sleep(60)"
    )
    started = subprocess.Popen([sys.executable, "-c", up])
    noted = tmp_path / "child"
    watch(Children({}), lambda: noted.exists() and noted.read_text().isdigit())
    assert lives(int(noted.read_text()))
    started.kill()
    started.wait()
    watch(Children({}), lambda: not lives(int(noted.read_text())))


def test_a_folder_is_worked_on_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.holding, "_WAIT_SECONDS", 0.3)
    held = hold(tmp_path)
    with pytest.raises(CommandError, match="another 'lethe up' works on"):
        hold(tmp_path)
    os.close(held)
    os.close(hold(tmp_path))
