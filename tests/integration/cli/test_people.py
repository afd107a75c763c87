"""`lethe doctor`, `status`, `forget` and `recommend`, as a person and as a program uses them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.models import ForgetRequest, RequestStatus, Run, RunStatus
from app.db.session import Database
from app.runs import queries as runs
from app.settings import Settings
from tests.integration.cli.running import assert_one_line, environment_of, lethe
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import GatewayProcess, gateway_process
from tests.integration.tiny_model import AUDIT_SECRET, SECRET
from tests.ports import free_port
from worker.execution import execute
from worker.process import open_process


@pytest.fixture
def of_installation(settings: Settings) -> dict[str, str]:
    return environment_of(settings)


@pytest.fixture
def gateway(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> Iterator[GatewayProcess]:
    key = issue_key(database, "people", *Scope)
    with gateway_process(settings, key, tmp_path) as started:
        yield started


def reaching(gateway: GatewayProcess) -> dict[str, str]:
    return {"LETHE_URL": gateway.url, "LETHE_API_KEY": gateway.key}


def waiting_run(database: Database) -> str:
    with database.read() as session:
        run_id = runs.queued_run(session)
    assert run_id is not None
    return run_id


@pytest.mark.usefixtures("installed")
def test_the_doctor_finds_an_installation_well(of_installation: dict[str, str]) -> None:
    done = lethe("doctor", "--json", **of_installation)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert found.keys() == {
        "versions", "keys", "database", "clock", "broker", "store", "disk", "permissions", "device", "worker",
    }  # fmt: skip
    for check in ("keys", "database", "clock", "store", "disk", "device", "worker"):
        assert found[check]["state"] == "ok", found[check]
    assert SECRET not in done.stdout
    assert AUDIT_SECRET not in done.stdout


def test_the_doctor_names_what_is_missing_and_looks_at_the_rest(environment: dict[str, str]) -> None:
    del environment["LETHE_SUBJECT_KEY"]
    done = lethe("doctor", **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("failure keys") and "LETHE_SUBJECT_KEY" in line for line in lines)
    assert any(line.startswith("failure database") and "run: lethe migrate" in line for line in lines)
    assert any(line.startswith("ok      device") for line in lines)


def test_the_doctor_says_which_setting_is_wrong(environment: dict[str, str]) -> None:
    done = lethe("doctor", "--json", **environment, LETHE_PORT="http")
    assert done.returncode == 1
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert found["settings"]["state"] == "failure"
    assert "LETHE_PORT" in found["settings"]["found"]


def test_the_doctor_tells_a_store_that_was_emptied(
    of_installation: dict[str, str], settings: Settings, installed: str, tmp_path: Path
) -> None:
    open_process(settings).database.dispose()
    assert lethe("doctor", **of_installation).returncode == 0
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    (tmp_path / "store").mkdir(0o700)
    done = lethe("doctor", **of_installation)
    assert done.returncode == 1
    assert "lethe recover --store-lost" in done.stdout


def test_status_of_what_is_not_installed_says_what_to_do(environment: dict[str, str]) -> None:
    assert_one_line(lethe("status", **environment), "lethe migrate")
    lethe("migrate", **environment)
    done = lethe("status", **environment)
    assert done.returncode == 0, done.stderr
    assert "no version is live" in done.stdout
    assert "no gateway runs" in done.stdout


def test_a_user_is_recommended_to_forgotten_and_told_of(
    gateway: GatewayProcess,
    settings: Settings,
    database: Database,
    of_installation: dict[str, str],
    installed: str,
) -> None:
    personal = json.loads(lethe("recommend", "user-1", "-k", "3", "--json", **reaching(gateway)).stdout)
    assert (personal["personalised"], personal["version"], len(personal["items"])) == (True, installed, 3)

    asked = lethe("forget", "user-1", "--reason", "objection", "--json", **reaching(gateway))
    assert asked.returncode == 0, asked.stderr
    request = json.loads(asked.stdout)
    assert request["status"] == "queued"
    told = lethe("recommend", "user-1", **reaching(gateway))
    assert told.stdout.endswith("not personal, what is popular: this user has asked to be forgotten\n")

    before = json.loads(lethe("status", "--json", **of_installation).stdout)
    assert before["serving"]["version"] == installed
    assert before["requests"]["queued"] == 1
    assert len(before["replicas"]) == 1

    run_id = waiting_run(database)
    waiting = _start("forget", "user-1", "--wait", **reaching(gateway))
    _work(settings, run_id)
    told_at_the_end, _ = waiting.communicate(timeout=300)
    assert waiting.returncode == 0
    assert f"request {request['id']}" in told_at_the_end
    assert "what the service knew is erased" in told_at_the_end
    assert "chosen" in told_at_the_end
    after = lethe("status", **of_installation).stdout
    assert "1 completed" in after
    assert "user-1" not in told_at_the_end + after


def test_waiting_for_one_that_needs_attention_is_exit_code_1(
    gateway: GatewayProcess, settings: Settings, database: Database
) -> None:
    assert lethe("forget", "user-2", **reaching(gateway)).returncode == 0
    run_id = waiting_run(database)
    process = open_process(settings)
    with process.database.unit_of_work() as session:
        # As a worker leaves it that was killed in its last claim.
        run, request = session.get_one(Run, run_id), session.scalars(select(ForgetRequest)).one()
        run.status, run.claims, run.lease_until = (
            RunStatus.RUNNING,
            settings.max_claims,
            database_now(session) - timedelta(minutes=1),
        )
        request.run_id, request.status = run_id, RequestStatus.UNLEARNING
    execute(process, run_id)
    process.database.dispose()
    done = lethe("forget", "user-2", "--wait", **reaching(gateway))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "needs attention (claims_exhausted)" in done.stdout
    assert "/retry" in done.stdout


def test_ctrl_c_ends_the_waiting_and_not_the_request(gateway: GatewayProcess) -> None:
    waiting = _start("forget", "user-3", "--wait", **reaching(gateway))
    assert waiting.stderr is not None
    assert "accepted as fr_" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert json.loads(lethe("forget", "user-3", "--json", **reaching(gateway)).stdout)["status"] == "queued"


def test_what_the_gateway_refuses_is_one_line(gateway: GatewayProcess, tmp_path: Path) -> None:
    assert_one_line(lethe("recommend", "x" * 1000, **reaching(gateway)), "user's id", "more than")
    assert_one_line(lethe("forget", "user-1", "--reason", "because", **reaching(gateway)), "reason")
    wrong = reaching(gateway) | {"LETHE_API_KEY": "lethe_wrong"}
    assert_one_line(lethe("forget", "user-1", **wrong), "Unauthenticated", "valid API key")
    nowhere = reaching(gateway) | {"LETHE_URL": f"http://127.0.0.1:{free_port()}"}
    assert_one_line(lethe("recommend", "user-1", **nowhere), "does not answer", "LETHE_URL")
    assert_one_line(lethe("recommend", "user-1", "--state", str(tmp_path)), "set LETHE_URL and LETHE_API_KEY")


def _start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _work(settings: Settings, run_id: str) -> None:
    """What a worker does, in a thread: it waits for the gateway's acknowledgement meanwhile."""

    def work() -> None:
        process = open_process(settings)
        following: str | None = run_id
        while following is not None:
            following = execute(process, following)
        process.database.dispose()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(300)
    assert not thread.is_alive()
