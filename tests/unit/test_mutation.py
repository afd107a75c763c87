"""The mutants that the pure core is tried with, and that one of them takes the place of what is loaded."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.grafting import graft
from tests.mutation.mutants import mutants
from tests.mutation.targets import ROOT, TARGETS

SOURCE = '''
"""Counts 3 things."""
from dataclasses import dataclass

LIMIT = 2

@dataclass(frozen=True)
class Rule:
    limit: int = 1

    @property
    def twice(self) -> int:
        return self.limit * 2

def judge(value: int, *, strict: bool = False) -> str | None:
    if strict and value < LIMIT:
        return f"below {LIMIT + 0}"
    return None
'''


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    path = tmp_path / "mutated_example.py"
    path.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("mutated_example", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules["mutated_example"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded
    del sys.modules["mutated_example"]


def test_every_change_is_one_and_wording_and_types_stay() -> None:
    assert [one.what for one in mutants(SOURCE)] == [
        "2  ->  3",
        "2  ->  1",
        "1  ->  2",
        "1  ->  0",
        "return self.limit * 2  ->  return None",
        "self.limit * 2  ->  self.limit / 2",
        "2  ->  3",
        "2  ->  1",
        "False  ->  True",
        "strict and value < LIMIT  ->  not (strict and value < LIMIT)",
        "strict and value < LIMIT  ->  strict or value < LIMIT",
        "value < LIMIT  ->  value <= LIMIT",
        "return f'below {LIMIT + 0}'  ->  return None",
    ]
    original = ast.dump(ast.parse(SOURCE))
    assert all(ast.dump(ast.parse(one.source)) != original for one in mutants(SOURCE))


@pytest.mark.parametrize(
    ("was", "becomes", "shown"),
    [
        ("LIMIT = 2", "LIMIT = 1", (None, 2, 1)),
        ("limit: int = 1", "limit: int = 5", ("below 2", 10, 5)),
        ("self.limit * 2", "self.limit / 2", ("below 2", 0.5, 1)),
        ("value < LIMIT", "value <= LIMIT", ("below 2", 2, 1)),
        ("strict: bool = False", "strict: bool = True", ("below 2", 2, 1)),
    ],
)
def test_a_mutant_takes_the_place_of_what_others_hold(
    module: ModuleType, was: str, becomes: str, shown: tuple[object, ...]
) -> None:
    judge, rule = module.judge, module.Rule
    assert (judge(1, strict=True), rule().twice, rule().limit) == ("below 2", 2, 1)
    assert (judge(2, strict=True), judge(1)) == (None, None)
    graft(module, SOURCE.replace(was, becomes))
    assert (judge(1, strict=True), rule().twice, rule().limit) == shown
    assert (judge(2, strict=True) is not None) is ("<=" in becomes)
    assert (judge(1) is not None) is ("= True" in becomes)


def test_every_file_of_the_core_and_its_tests_are_there() -> None:
    for file, tests in TARGETS.items():
        assert (ROOT / file).is_file(), file
        assert all((ROOT / test).is_file() for test in tests), file


def test_the_page_shows_every_file() -> None:
    page = (ROOT / "docs" / "reference" / "mutation.md").read_text(encoding="utf-8")
    shown = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert list(dict.fromkeys(shown)) == list(TARGETS), "run: make mutation"
