"""`lethe consolidate`: through the database, so that it works wherever the other commands do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.db.models import Run
from app.db.session import Database
from app.runs import queries as runs
from app.settings import Settings
from tests.integration.cli.running import assert_one_line, environment_of, lethe
from worker.execution import execute
from worker.process import open_process


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return environment_of(settings)


def test_without_a_live_version_it_says_what_to_do(environment: dict[str, str], database: Database) -> None:
    assert_one_line(lethe("consolidate", **environment), "No version is live", "lethe init")


@pytest.mark.usefixtures("installed")
def test_it_prints_the_job_and_waits_until_it_is_done(
    environment: dict[str, str], settings: Settings, database: Database
) -> None:
    asked = lethe("consolidate", **environment)
    assert asked.returncode == 0, asked.stderr
    run_id = asked.stdout.strip()
    with database.read() as session:
        (run,) = runs.newest(session, limit=5)
    assert (run.id, run.kind, run.reason) == (run_id, "consolidation", "on_demand")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "consolidate", "--wait"],
        env=kept | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout is not None
        # While one waits, asking again is asking for the same one.
        assert waiting.stdout.readline().strip() == run_id
        process = open_process(settings)
        execute(process, run_id)
        process.database.dispose()
        waiting.communicate(timeout=120)
    assert waiting.returncode == 0
    with database.read() as session:
        assert session.get_one(Run, run_id).status == "completed"


@pytest.mark.usefixtures("installed")
def test_one_that_needs_attention_is_exit_code_1(environment: dict[str, str], settings: Settings) -> None:
    run_id = lethe("consolidate", **environment).stdout.strip()
    process = open_process(settings)
    with process.database.unit_of_work() as session:
        run = session.get_one(Run, run_id)
        run.claims = settings.max_claims
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "consolidate", "--wait"],
        env={name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
        | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline().strip() == run_id
        execute(process, run_id)
        printed, _ = waiting.communicate(timeout=120)
    process.database.dispose()
    assert waiting.returncode == 1
    assert "claims_exhausted" in printed
