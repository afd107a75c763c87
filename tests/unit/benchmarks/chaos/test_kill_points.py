"""Processes really die where the list says, and once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.chaos.kill_points import KILL_POINTS, KillPoint, replace_everywhere

DYING = """
import sys
from pathlib import Path
import tests.unit.benchmarks.chaos.victim as victim
from benchmarks.chaos.kill_points import KillPoint, arm

arm(KillPoint("here", "worker", sys.argv[1], sys.argv[2]), Path(sys.argv[3]), whole=False)
victim.work()
print("worked")
"""


@pytest.mark.parametrize("point", KILL_POINTS, ids=lambda point: point.name)
def test_every_kill_point_is_a_function_of_the_product(point: KillPoint) -> None:
    found: list[object] = []

    def look(function: object) -> object:
        found.append(function)
        return function

    replace_everywhere(point.target, look)  # type: ignore[arg-type]
    assert len(found) == 1
    assert callable(found[0])


def test_their_names_differ() -> None:
    assert len({point.name for point in KILL_POINTS}) == len(KILL_POINTS) > 30


@pytest.mark.parametrize("moment", ["called", "returned", "before_commit", "after_commit", "linking"])
def test_whoever_comes_there_dies_once(tmp_path: Path, moment: str) -> None:
    order = tmp_path / "order"
    order.touch()
    where = "tests.unit.benchmarks.chaos.victim:step"

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", DYING, where, moment, str(order)],
            cwd=Path(__file__).parents[4],
            env=os.environ | {"VICTIM_FOLDER": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert run().returncode == -signal.SIGKILL
    with closing(sqlite3.connect(tmp_path / "written")) as written:
        (rows,) = written.execute("SELECT count(*) FROM t").fetchone()
    reached = ((tmp_path / "step").exists(), rows, (tmp_path / "linked").exists())
    assert (
        reached
        == {
            "called": (False, 0, False),
            "returned": (True, 0, False),
            "before_commit": (True, 0, False),
            "after_commit": (True, 1, False),
            "linking": (True, 1, False),
        }[moment]
    )
    again = run()
    assert (again.returncode, again.stdout) == (0, "worked\n"), again.stderr
