"""The list of guards fits the tree, and the command that works through it tells noticed from not noticed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.guards.checking import TestsFail, check
from tests.guards.removals import REQUIRED, GuardMissing, Removal, of_guard, read_list
from tests.guards.results import row
from tests.guards.verdicts import TestRun
from tests.guards.workplace import workplace

REPOSITORY = Path(__file__).parents[2]
REMOVALS = read_list()
PAGE = REPOSITORY / "docs" / "reference" / "guards.md"


def text_of(removal: Removal) -> str:
    return (REPOSITORY / removal.file).read_text(encoding="utf-8")


@cache
def names_in(path: str) -> frozenset[str]:
    """The tests of a file, those of a class with its name before them."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for group in tree.body:
        if isinstance(group, ast.ClassDef):
            found |= {
                f"{group.name}::{node.name}" for node in group.body if isinstance(node, ast.FunctionDef)
            }
    return frozenset(found)


def test_every_guard_that_is_asked_for_is_there() -> None:
    assert {removal.guard for removal in REMOVALS} >= set(REQUIRED)
    assert all(removal.tests for removal in REMOVALS)
    assert [what for what, times in Counter(removal.what for removal in REMOVALS).items() if times > 1] == []


def test_what_is_taken_away_stands_there_once_and_what_is_left_can_be_run(tmp_path: Path) -> None:
    for number, removal in enumerate(REMOVALS):
        before = text_of(removal)
        without = removal.apply(before)
        assert ast.dump(ast.parse(without)) != ast.dump(ast.parse(before)), removal.what
        (tmp_path / f"{number}.py").write_text(without, encoding="utf-8")
    # A name that is not there would fail a test, and not because the guard is missing.
    looked = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821,F823"]
    done = subprocess.run([*looked, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_named_test_exists() -> None:
    for removal in REMOVALS:
        for test in removal.tests:
            path, _, name = test.partition("::")
            assert name.partition("[")[0] in names_in(path), test


def test_the_page_shows_every_entry_and_that_each_was_noticed() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][2:]
    assert rows == [row(removal, "noticed") for removal in REMOVALS], "run: make guards"


def test_one_guard_can_be_asked_for_by_its_name() -> None:
    assert {removal.guard for removal in of_guard(REMOVALS, "fence")} == {"fence"}
    with pytest.raises(GuardMissing, match="there are: fence"):
        of_guard(REMOVALS, "fences")


def test_a_text_that_stands_twice_is_not_taken_away() -> None:
    removal = Removal("g", "what", "file.py", "a\n", "", ("t",))
    assert removal.apply("a\nb\n") == "b\n"
    for text in ("b\n", "a\na\n"):
        with pytest.raises(GuardMissing, match=r"file\.py"):
            removal.apply(text)


def ended(phase: str, outcome: str, *raised: str) -> dict[str, object]:
    return {"phase": phase, "outcome": outcome, "raised": raised}


ASSERTION = ended("call", "failed", "AssertionError", "Exception")


@pytest.mark.parametrize(
    ("exit_code", "end", "how", "noticed"),
    [
        (1, ASSERTION, "failed", True),
        (1, ended("call", "failed", "Failed", "Exception"), "failed", True),
        (0, ended("call", "passed"), "passed", False),
        (1, ended("setup", "failed", "ValueError", "Exception"), "failed in setup", False),
        (1, ended("teardown", "failed", "ValueError", "Exception"), "failed in teardown", False),
        (0, ended("setup", "skipped", "Skipped"), "skipped in setup", False),
        (1, ended("call", "failed", "NameError", "Exception"), "stopped by NameError", False),
        (1, ended("call", "failed", "ModuleNotFoundError", "ImportError"), "stopped by ImportError", False),
        (2, None, "not run", False),
        (4, None, "not run", False),
        (2, ASSERTION, "failed", False),
        (None, None, "cut off", False),
        (None, ASSERTION, "failed", False),
    ],
)
def test_only_a_test_that_fails_by_what_it_checks_has_noticed(
    exit_code: int | None, end: dict[str, object] | None, how: str, noticed: bool
) -> None:
    run = TestRun(exit_code, {} if end is None else {"t": end}, 1.0, "")
    assert run.how("t") == how
    assert run.noticed(["t"]) is noticed
    assert not run.noticed(["t", "another"])
    assert run.all_passed(["t"]) is (how == "passed")


CODE = """import time


def allowed(who):
    if who == "nobody":
        return False
    return True


def waited():
    while False:
        time.sleep(0.01)
    return True
"""
TESTS = """from code_under_test import allowed, waited


def test_nobody_is_allowed():
    assert not allowed("nobody")


def test_somebody_is_allowed():
    assert allowed("somebody")


def test_it_ends():
    assert waited()
"""
GUARD = '    if who == "nobody":\n        return False\n'


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # They take longer to load than these tests to run.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "code_under_test.py").write_text(CODE)
    (tree / "test_it.py").write_text(TESTS)
    subprocess.run(["git", "init", "--quiet", tree], check=True)
    return tree


def removal(find: str, replace: str, test: str) -> Removal:
    return Removal("g", "what", "code_under_test.py", find, replace, (f"test_it.py::{test}",))


def test_a_guard_that_no_test_misses_is_found_and_nothing_is_left_of_the_search(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = {path: path.read_bytes() for path in tree.glob("*.py")}
    removals = [
        removal(GUARD, "", "test_nobody_is_allowed"),
        removal(GUARD, "", "test_somebody_is_allowed"),
        removal(GUARD, "    unheard_of\n", "test_nobody_is_allowed"),
        removal(GUARD, "    if who ==\n", "test_nobody_is_allowed"),
        # It was put back each time.
        removal("        return False\n", "        return None\n", "test_nobody_is_allowed"),
    ]
    checked = check(tree, removals, seconds=600, libraries=())
    assert [one.word for one in checked] == ["noticed", *["NOT NOTICED"] * 4]
    assert [one.run.how(one.removal.tests[0]) for one in checked] == [
        "failed", "passed", "stopped by NameError", "not run", "passed",
    ]  # fmt: skip
    assert {path: path.read_bytes() for path in tree.glob("*.py")} == before
    assert list(scratch.iterdir()) == []


def test_a_test_that_hangs_is_cut_off_with_all_that_it_started_and_has_noticed_nothing(tree: Path) -> None:
    hanging = removal("    while False:\n", "    while True:\n", "test_it_ends")
    with workplace(tree, ()) as place:
        with place.without(hanging):
            run = place.run(hanging.tests, seconds=1)
        assert run.exit_code is None
        assert not run.noticed(hanging.tests)
        # The next one is not held up by it.
        assert place.run(hanging.tests, seconds=600).all_passed(hanging.tests)


def test_what_fails_with_every_guard_in_its_place_can_tell_nothing(tree: Path) -> None:
    with pytest.raises(TestsFail, match=r"test_it\.py::test_nothing_of_the_kind: not run"):
        check(tree, [removal(GUARD, "", "test_nothing_of_the_kind")], seconds=600, libraries=())
