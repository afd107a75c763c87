"""A plugin for pytest that writes down how each test ended: in which phase, and by which exception.

Copied beside the tree under test, so that it works in any tree: it imports nothing of ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# Where it writes to.
VARIABLE = "GUARDS_OUTCOMES"

_ended: dict[str, dict[str, Any]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    before = _ended.get(item.nodeid)
    # What went wrong first counts; a test that passed has not passed if it cannot be cleared away.
    if report.when == "call" or (
        report.outcome != "passed" and (not before or before["outcome"] == "passed")
    ):
        raised = call.excinfo.type.__mro__ if call.excinfo is not None else ()
        _ended[item.nodeid] = {
            "phase": report.when,
            "outcome": report.outcome,
            "raised": [kind.__name__ for kind in raised],
        }
    return report


def pytest_sessionfinish() -> None:
    Path(os.environ[VARIABLE]).write_text(json.dumps(_ended), encoding="utf-8")
