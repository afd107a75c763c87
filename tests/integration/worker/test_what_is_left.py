"""What a run leaves behind: nothing of its subjects in the database's files, nothing half written in the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import reclaiming
from app.db.models import AuditEntry
from tests.integration.database_files import occurrences
from tests.integration.tiny_model import subject_of
from tests.integration.worker.conftest import request_forgetting
from worker.execution import execute
from worker.process import WorkerProcess


def test_what_a_killed_writer_left_of_a_blob_goes_with_the_next_completion(process: WorkerProcess) -> None:
    root = process.settings.store_url
    code = (
        "import os, sys\n"
        "from model_store import LocalStore\n"
        "from tests.unit.model_store.examples import publish, safetensors\n"
        "def stall(_):\n"
        "    print('written', flush=True)\n"
        "    sys.stdin.read()\n"
        "store = LocalStore(sys.argv[1])\n"
        "os.fsync = stall\n"
        "publish(store, safetensors(175_000))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        execute(process, request_forgetting(process, "user-1"))
        # It may be somebody's who is still at work.
        assert [path.stat().st_size > 700_000 for path in Path(root).rglob(".writing-*")] == [True]
        writer.kill()
    execute(process, request_forgetting(process, "user-2"))
    assert list(Path(root).rglob(".writing-*")) == []


def test_no_byte_of_the_subjects_events_is_left_in_the_databases_files(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests may have transactions open on the same server.
    monkeypatch.setattr(reclaiming, "SNAPSHOT_SECONDS", 60.0)
    # In SQLite's one file the pseudonym also stands where it stays: there only with what follows it in a row.
    item = b"i" if process.database.engine.dialect.name == "sqlite" else b""
    rows = [subject_of(user).encode() + item for user in ("user-1", "user-2")]
    assert all(occurrences(process.database, row) for row in rows)
    execute(process, request_forgetting(process, "user-1", "user-2"))
    assert not any(occurrences(process.database, row) for row in rows)
    with process.database.read() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "rows.reclaimed")).one()
    assert entry.data["result"] == "rewritten"
