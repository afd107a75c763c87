"""Timelines as they are written and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_store import HostileArtefact, InvalidTimeline, LocalStore, Timeline
from model_store.timelines import MAX_NUMBER
from tests.unit.model_store.examples import timeline


def test_what_was_written_is_read() -> None:
    assert Timeline.from_bytes(timeline().to_bytes()) == timeline()


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"number": MAX_NUMBER + 1},
        {"number": True},
        {"token": "7E" * 16},
        {"token": "7e"},
        {"token": None},
        {"after_epoch": -1},
        {"after_epoch": 1.0},
        {"started_at": "noon"},
        {"started_at": "2026-03-01T12:00:00"},
        {"started_at": 1},
        {"schema": 2},
    ],
)
def test_what_breaks_the_schema_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidTimeline):
        replace(timeline(), **changes)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", timeline().to_bytes() + b" "])
def test_a_damaged_one_is_an_error_and_not_an_older_one(tmp_path: Path, content: bytes) -> None:
    store = LocalStore(tmp_path)
    assert store.start_timeline(timeline(1))
    (tmp_path / "timelines" / "000000002.json").write_bytes(content)
    with pytest.raises((InvalidTimeline, HostileArtefact)):
        store.newest_timeline()
    # One under a number that is not its own neither.
    (tmp_path / "timelines" / "000000002.json").write_bytes(timeline(1).to_bytes())
    with pytest.raises(InvalidTimeline, match="holds 1"):
        store.newest_timeline()
