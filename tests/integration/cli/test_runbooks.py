"""The runbooks for upgrade, backup and keys: every command of theirs that is Lethe's own is run, in their order."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from app.db.ledger import require_subject_key
from app.db.session import Database
from app.runs import queries as runs
from app.settings import Settings
from app.subjects import SubjectKey
from tests.documents import commands
from tests.integration.backup import back_up
from tests.integration.cli.running import environment_of, lethe
from tests.integration.tiny_model import SECRET
from tests.integration.worker.conftest import request_forgetting
from worker.execution import execute
from worker.process import open_process

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def environment(settings: Settings, database: Database, installed: str) -> dict[str, str]:
    """An installation with a live version, which worker and gateway have been at."""
    assert settings.policy_file is not None
    open_process(settings).database.dispose()
    with database.unit_of_work() as session:
        require_subject_key(session, SubjectKey(SECRET.encode()).check)
    return {**environment_of(settings), "LETHE_POLICY_FILE": str(settings.policy_file)}


def ours(line: str) -> list[str]:
    program, *arguments = shlex.split(line)
    assert program == "lethe", line
    return arguments


def test_a_database_is_backed_up_and_restored_by_the_runbook(
    environment: dict[str, str], settings: Settings, database: Database, installed: str
) -> None:
    put_back = None
    restored = False
    for line in commands("docs/how-to/backup.md"):
        if line.startswith("pg_dump"):
            put_back = back_up(create_engine(settings.database_url))
            # After the backup somebody is forgotten, and the old weights are destroyed.
            worker = open_process(settings)
            execute(worker, request_forgetting(worker, "user-1"))
            assert worker.store.is_destroyed(installed)
            worker.database.dispose()
            continue
        if line.startswith("pg_restore"):
            assert put_back is not None
            put_back()
            restored = True
            continue
        done = lethe(*ours(line), **environment)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if line == "lethe recover":
            assert "1 requests were accepted again, under their old deadlines" in done.stdout
        if "--repair" in line:
            assert "destruction_half_done" in done.stdout
    assert restored
    # They are forgotten once more, and then nothing is left.
    worker = open_process(settings)
    with worker.database.read() as session:
        run: str | None = runs.queued_run(session)
    while run is not None:
        run = execute(worker, run)
    worker.database.dispose()
    assert "requests that are not completed: none" in lethe("recover", **environment).stdout
    assert lethe("store", "check", **environment).returncode == 0


def test_an_upgrade_by_the_runbook_finds_nothing_wrong_before_and_after(environment: dict[str, str]) -> None:
    lines = commands("docs/how-to/upgrade.md")
    assert lines.count("lethe migrate") == 1
    assert lines.index("lethe migrate") == len(lines) // 2
    for line in lines:
        done = lethe(*ours(line), **environment)
        assert done.returncode == 0, (line, done.stdout, done.stderr)


def test_keys_are_rotated_by_the_runbook(environment: dict[str, str], tmp_path: Path) -> None:
    issued: list[str] = []
    for line in commands("docs/how-to/rotate-keys.md"):
        if line == "lethe doctor":
            # What stays is noticed if it does not.
            said = lethe(
                "doctor", **{**environment, "LETHE_SUBJECT_KEY": "another secret of thirty-two bytes!"}
            )
            assert said.returncode != 0
            assert "LETHE_SUBJECT_KEY" in said.stdout + said.stderr
            continue
        done = lethe(*ours(line), **environment)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if " issue " in line or " rotate " in line:
            issued.append(done.stdout.strip())
        if line == "lethe keys list":
            assert "crm (rotation 1)" in done.stdout
    assert len(set(issued)) == 3
