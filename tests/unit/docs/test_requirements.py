"""The list of requirements: each has a row, and the tests that it names exist."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs/reference/requirements.md"
STATES = {"met", "in its own way", "in part", "not met"}


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| R-")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_requirement_has_one_row_with_a_state() -> None:
    assert [row[0] for row in rows()] == [f"R-{number}" for number in range(1, 52)]
    assert {row[2] for row in rows()} <= STATES
    assert [row[0] for row in rows() if row[2] != "met" and not row[3]] == []


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for row in rows():
        for path, _, name in (named.partition("::") for named in re.findall(r"`(tests/[^`]+)`", row[4])):
            file = REPOSITORY / path
            if not file.exists() or (name and f"def {name}(" not in file.read_text(encoding="utf-8")):
                missing.append(f"{row[0]}: {path}::{name}")
    assert missing == []
    assert [row[0] for row in rows() if row[2] != "not met" and "`tests/" not in row[4]] == []
