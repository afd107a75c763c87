"""The result as JSON and as the page in `docs/`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.guards.checking import Checked
from tests.guards.removals import Removal

_HEAD = """# Guards, each taken away on purpose

Written by `make guards`, from the list in `tests/guards/removals.toml`. In a copy of the tree the command takes away
one guard at a time and runs the tests that are named for it. *Noticed* means that each of them was collected and set
up, passed with the guard in its place, and failed without it by what it checks: by an assertion, or by an error where
none, or another one, was expected. An error of import, collection or set-up does not count, nor does a test that hangs.
"""


def row(removal: Removal, word: str) -> str:
    """One line of the table."""
    tests = "<br>".join(f"`{test}`" for test in removal.tests)
    return f"| {removal.guard} | {removal.what} | `{removal.file}` | {tests} | {word} |"


def markdown(result: dict[str, Any], checked: Sequence[Checked]) -> str:
    environment = result["environment"]
    commit = (environment["commit"] or "unknown")[:12] + ("+" if environment["uncommitted_changes"] else "")
    noticed = sum(one.noticed for one in checked)
    lines: Iterable[str] = [
        _HEAD,
        f"{noticed} of {len(checked)} removals noticed; commit {commit}, {environment['measured_at']}.",
        "",
        "| guard | without it | in | tests | |",
        "| --- | --- | --- | --- | --- |",
        *(row(one.removal, one.word) for one in checked),
    ]
    return "\n".join(lines) + "\n"


def as_result(checked: Sequence[Checked], environment: dict[str, Any]) -> dict[str, Any]:
    """What the JSON file holds."""
    return {
        "benchmark": "guards",
        "environment": environment,
        "removals": [
            {
                "guard": one.removal.guard,
                "what": one.removal.what,
                "file": one.removal.file,
                "tests": {test: one.run.how(test) for test in one.removal.tests},
                "exit_code": one.run.exit_code,
                "seconds": one.run.seconds,
                "noticed": one.noticed,
            }
            for one in checked
        ],
    }
