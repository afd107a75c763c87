"""What a benchmark writes: the tables are those of the file, to the last digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.publishing import publish


def test_the_tables_are_those_of_the_file_where_two_roundings_differ_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tables.WRITERS, "tests", lambda result: [f"{result['share']:.1f}"])
    result = {"benchmark": "tests", "share": 0.44999999999}
    publish(result, tmp_path / "result.json", tmp_path / "tables.md")
    stored = json.loads((tmp_path / "result.json").read_text())
    assert tables.markdown(result) != tables.markdown(stored)
    assert (tmp_path / "tables.md").read_text() == tables.markdown(stored)
