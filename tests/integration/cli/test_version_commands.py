"""`lethe versions` as an operator types it: what it prints, and the one line when it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.db.session import Database
from app.settings import Settings
from app.versions import queries as versions
from tests.integration.cli.running import assert_one_line, environment_of, lethe
from tests.integration.tiny_model import USERS
from tests.s3_server import CREDENTIALS, lying_server
from worker.process import open_process

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_an_adapter_goes_out_comes_in_again_and_is_rolled_back(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> None:
    environment = {**environment_of(settings), "LETHE_POLICY_FILE": str(settings.policy_file)}
    open_process(settings).database.dispose()
    out = tmp_path / "out"
    exported = lethe("versions", "export", str(out), **environment)
    assert exported.returncode == 0, exported.stderr
    assert f"holds version {installed[:16]}" in exported.stdout
    assert_one_line(lethe("versions", "export", str(out), **environment), "exists: name a new folder")
    readers = tmp_path / "readers.txt"
    readers.write_text("\n".join(USERS))
    arguments = ["versions", "import", str(out), "--readers", str(readers), "--no-trial-fit"]
    taken = lethe(*arguments, "--confirm-adapter", **environment)
    assert taken.returncode == 0, taken.stderr
    with database.read() as session:
        imported = versions.current(session).digest
    assert imported is not None
    assert f"version {imported[:16]} is live" in taken.stdout
    back = lethe("versions", "rollback", installed, **environment)
    assert back.returncode == 0, back.stderr
    assert f"version {installed[:16]} is live as generation 3" in back.stdout
    assert_one_line(lethe("versions", "rollback", installed, **environment), "serves already")
    assert_one_line(lethe("versions", "rollback", "no-digest", **environment), "has never served here")


def test_a_bucket_that_cannot_hold_a_store_is_refused_in_one_line(settings: Settings, installed: str) -> None:
    with lying_server() as endpoint:
        environment = {
            **environment_of(settings),
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": endpoint,
            "LETHE_STORE_URL": "s3://liar/store",
        }
        refused = lethe("store", "check", **environment)
    assert_one_line(refused, "LETHE_STORE_URL: s3://liar/store lets 4 of 4 writers", "ignores If-None-Match")
