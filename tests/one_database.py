"""Which database a test above the service layer runs on: one of the two, unless both are asked for.

The service layer's own tests (`tests/integration/db`) run on SQLite and on PostgreSQL, and so does whatever bears the
mark `both_databases`. What calls that layer, through HTTP, in a worker or in a command, runs on one of the two. Which
one is drawn by the test's name, so it is the same every time, and about half of the tests run on each.
`make test DATABASES=both` runs them all on both.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

_DRAWN = frozenset(Path(__file__).parent / "integration" / room for room in ("cli", "http", "worker"))
_DATABASES = ("sqlite", "postgresql")


def all_are_asked_for() -> bool:
    return os.environ.get("LETHE_TEST_DATABASES") == "both"


def drawn_out(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """The tests that are left out: each has a twin in `items` on the other database."""
    twins: dict[str, list[pytest.Item]] = {}
    for item in items:
        database = _database(item)
        if database is not None:
            twins.setdefault(item.nodeid.replace(database, "*"), []).append(item)
    return {
        item
        for name, pair in twins.items()
        if len(pair) == len(_DATABASES)
        for item in pair
        if _database(item) != _DATABASES[zlib.crc32(name.encode()) % len(_DATABASES)]
    }


def _database(item: pytest.Item) -> str | None:
    """The database of a test of which one run is enough."""
    if not isinstance(item, pytest.Function) or not _DRAWN.intersection(item.path.parents):
        return None
    if item.get_closest_marker("both_databases") is not None or not hasattr(item, "callspec"):
        return None
    database = item.callspec.params.get("database_url")
    return database if database in _DATABASES else None
