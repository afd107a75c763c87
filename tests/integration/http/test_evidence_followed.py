"""Every command of docs/how-to/evidence.md, in its order, against a gateway behind a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.api_keys.service import Scope
from app.db.session import Database
from app.settings import Settings
from tests.documents import commands
from tests.integration.cli.running import environment_of
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import gateway_process
from tests.integration.worker.observing import execute_waiting
from worker.process import open_process

DOCUMENT = "docs/how-to/evidence.md"
# What needs a completed request begins here.
SECOND_HALF = "/receipts/completion"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whoever_follows_the_page_verifies_a_receipt(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> None:
    lines = commands(DOCUMENT)
    middle = next(place for place, line in enumerate(lines) if SECOND_HALF in line)
    folder = tmp_path / "requester"
    (folder / ".lethe").mkdir(parents=True)
    key = issue_key(database, "follows", Scope.FORGET_CREATE, Scope.RECEIPTS_READ, Scope.AUDIT_READ)
    (folder / ".lethe" / "demo-key").write_text(key)
    said = ""
    with gateway_process(settings, key, tmp_path) as gateway:
        # The variables that the first half has set are known to the second.
        kept = f'declare -p LETHE AUTH REQUEST SALT > "{tmp_path}/variables"'
        restored = f'source "{tmp_path}/variables"'
        for half in ([*lines[:middle], kept], [restored, *lines[middle:]]):
            script = "\n".join(["set -euo pipefail", *half])
            script = script.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")
            script = script.replace("user-0042", "user-1").replace(
                "\nlethe ", f"\n{sys.executable} -m cli.main "
            )
            ran = subprocess.run(
                ["bash", "-c", script],
                cwd=folder,
                env=os.environ | environment_of(settings),
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
            said += ran.stdout
            if half[-1] == kept:
                execute_waiting(open_process(settings))
    assert "the acceptance receipt of fr_" in said
    assert "it completes what the acceptance receipt accepted" in said
    assert said.count("it is about the user who was named") == 2
    assert "the log has only grown" in said
    assert '"leaf_hash"' in (folder / "entries.json").read_text()
