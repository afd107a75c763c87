"""`lethe forget --file`, against a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api_keys.service import Scope
from app.db.session import Database
from app.settings import Settings
from tests.integration.cli.running import assert_one_line, lethe
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import GatewayProcess, gateway_process

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def gateway(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> Iterator[GatewayProcess]:
    key = issue_key(database, "people", Scope.FORGET_CREATE, Scope.FORGET_READ)
    with gateway_process(settings, key, tmp_path) as started:
        yield started


def test_r14_a_file_is_tried_and_then_sent(gateway: GatewayProcess, tmp_path: Path) -> None:
    reaching = {"LETHE_URL": gateway.url, "LETHE_API_KEY": gateway.key}
    file = tmp_path / "users.csv"
    file.write_text("email,user_id\na@example.com,user-1\nb@example.com,user-2\nc,user-1\nd,\n")
    assert lethe("forget", "user-1", **reaching).returncode == 0

    tried = lethe("forget", "--file", str(file), "--dry-run", "--json", **reaching)
    assert tried.returncode == 1, tried.stderr
    assert json.loads(tried.stdout) == {
        "dry_run": True, "new": 1, "existing": 1, "repeated": 1, "malformed": 1, "malformed_lines": [5], "batches": [],
    }  # fmt: skip
    sent = lethe("forget", "--file", str(file), "--reason", "objection", **reaching)
    assert sent.returncode == 1, sent.stderr
    first, batch, line = sent.stdout.splitlines()
    assert first == "1 accepted, 1 already asked, 1 repeated in the file, 1 malformed"
    assert line.startswith("line 5: ")
    with gateway.client() as client:
        found = client.get(f"/forget-batches/{batch.removeprefix('batch ')}").json()
    assert found["results"] == {"accepted": 1, "existing": 1, "invalid": 0}

    file.write_text("user-1\nuser-2\n")
    again = lethe("forget", "--file", str(file), **reaching)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("0 accepted, 2 already asked, ")
    for text in (tried.stdout, tried.stderr, sent.stdout, sent.stderr, again.stdout, gateway.log.read_text()):
        assert "user-2" not in text
    assert_one_line(lethe("forget", "--file", str(file), "user-1", **reaching), "--file takes neither")
