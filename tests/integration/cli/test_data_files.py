"""`lethe init` with files that cannot be used: one line, exit code 2, and nothing is there afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from app.db.models import Interaction
from app.db.session import Database
from app.settings import Settings
from app.versions import queries as pointer
from tests.integration.cli.running import assert_one_line, environment_of, lethe

ROWS = {"user_id": ["person-17", "person-18"], "item_id": ["x", "y"], "timestamp": [1, 2]}


def _parquet(columns: dict[str, object]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


def _cut_off(path: Path) -> None:
    pq.write_table(pa.table(ROWS), path)
    path.write_bytes(path.read_bytes()[:-6])


def _folder(path: Path) -> None:
    path.mkdir()
    pq.write_table(pa.table(ROWS), path / "events-0.parquet")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("interactions.parquet", _parquet(ROWS | {"user_id": [True, False]}), "values of type bool"),
        ("interactions.parquet", _parquet(ROWS | {"item_id": [["x"], ["y"]]}), "nested values"),
        (
            "interactions.parquet",
            _parquet({"user_id": ["person-17"], "item_id": ["x"]}),
            "no column 'timestamp'",
        ),
        ("interactions.parquet", _cut_off, "cut off or damaged"),
        ("interactions.parquet", _folder, "name the file to read"),
        ("interactions.parquet", lambda path: path.write_text("user_id\n"), "begin as a Parquet file does"),
        ("Games.inter.json", lambda path: path.write_text('{"0": [1,'), "is not JSON, or is cut off"),
        (
            "train.csv",
            lambda path: path.write_text("user_id,history_item_id,item_id\nperson-17,7,8\n"),
            "a history is no list of ids",
        ),
    ],
    ids=["wrong-type", "nested", "missing-column", "cut-off", "folder", "text", "lists", "histories"],
)
def test_a_file_that_cannot_be_used_leaves_nothing_behind(
    settings: Settings,
    database: Database,
    tmp_path: Path,
    name: str,
    make: Callable[[Path], None],
    words: str,
) -> None:
    base = tmp_path / "new" / "base"
    environment = environment_of(settings) | {"LETHE_BASE": str(base)}
    make(tmp_path / name)
    done = lethe("init", "--data", str(tmp_path / name), "--epochs", "1", **environment)
    assert_one_line(done, name, words)
    assert "person-17" not in done.stdout + done.stderr
    assert not base.exists()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Interaction)) == 0
        assert pointer.current(session).digest is None
