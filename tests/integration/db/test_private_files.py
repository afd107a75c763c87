"""The files of an SQLite database: events of users, for their owner only."""

from __future__ import annotations

import os
from pathlib import Path

from app.db.schema import migrate
from app.db.session import Database, open_database
from tests.modes import open_to_others


def test_database_and_log_are_their_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        engine = open_database(f"sqlite:///{tmp_path}/state/lethe.sqlite3")
        migrate(engine)
        with Database(engine).read() as session:
            session.connection()
            made = {path.name for path in (tmp_path / "state").iterdir()}
            assert made == {"lethe.sqlite3", "lethe.sqlite3-wal", "lethe.sqlite3-shm"}
            assert open_to_others(tmp_path / "state") == []
        engine.dispose()
    finally:
        os.umask(before)


def test_a_mode_that_the_owner_gave_stays(tmp_path: Path) -> None:
    """A backup may run as another user."""
    path = tmp_path / "lethe.sqlite3"
    path.touch(mode=0o640)
    path.chmod(0o640)
    open_database(f"sqlite:///{path}").dispose()
    assert path.stat().st_mode & 0o777 == 0o640
