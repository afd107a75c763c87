"""Machines whose clocks are apart. Each of these did harm while leases and heartbeats went by the writer's clock."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

import worker.execution
from app.db.clock import database_now
from app.replicas.queries import live_replicas
from app.replicas.service import DatabaseControlPlane, ReplicaReport
from app.runs import queries as runs
from tests.clocks import clock_off_by
from tests.integration.killing import Killed
from tests.integration.worker.conftest import request_forgetting
from worker.execution import execute
from worker.process import WorkerProcess
from worker.sweeper import sweep


def claims(process: WorkerProcess, run_id: str) -> int:
    with process.database.read() as session:
        run = runs.find(session, run_id)
        assert run is not None
        return run.claims


def test_a_worker_an_hour_ahead_holds_up_nobody_once_it_is_gone(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    briefly = {"lease_seconds": 1.0, "heartbeat_seconds": 0.2, "redispatch_seconds": 0.5}
    process = replace(process, settings=process.settings.model_copy(update=briefly))

    def work(*_: object) -> None:
        time.sleep(0.5)  # for a heartbeat
        raise Killed

    monkeypatch.setattr(worker.execution, "_work", work)
    run_id = request_forgetting(process, "user-1")
    with clock_off_by(timedelta(hours=1)), pytest.raises(Killed):
        execute(process, run_id)
    deadline = time.monotonic() + 20
    while run_id not in sweep(process.database, process.settings):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(Killed):
        execute(process, run_id)
    assert claims(process, run_id) == 2


def test_a_worker_two_minutes_ahead_takes_nothing_from_one_that_lives(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process.settings.lease_seconds < 120
    run_id = request_forgetting(process, "user-1")
    rung: list[str] = []

    def work(*_: object) -> None:
        with clock_off_by(timedelta(minutes=2)):
            rung.extend(sweep(process.database, process.settings))
            assert execute(process, run_id) is None

    monkeypatch.setattr(worker.execution, "_work", work)
    execute(process, run_id)
    assert rung == []
    assert claims(process, run_id) == 1


def test_a_gateway_half_a_minute_behind_is_waited_for(process: WorkerProcess) -> None:
    with clock_off_by(timedelta(seconds=-30)):
        DatabaseControlPlane(process.database).report(ReplicaReport("behind", 1, None, None, 0))
    with process.database.read() as session:
        alive = live_replicas(session, now=database_now(session), timeout=timedelta(seconds=10))
    assert [replica.id for replica in alive] == ["behind"]
