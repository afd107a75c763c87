"""A worker keeps what it works on, and notices when it has lost it (I5)."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.audit.transaction import Transaction
from app.db.clock import database_now
from app.db.errors import FenceLost
from app.runs import notes
from app.runs import service as runs
from app.runs.service import Claim
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.observing import outcome, run_of
from worker.execution import execute
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.publication import CandidateRefused

SECONDS = 20


@pytest.fixture
def beating(process: WorkerProcess) -> WorkerProcess:
    settings = process.settings.model_copy(update={"heartbeat_seconds": 0.05})
    return replace(process, settings=settings)


def claim_again(process: WorkerProcess, run_id: str) -> Claim | None:
    with process.database.unit_of_work() as session:
        return runs.claim(
            Transaction(session, process.audit),
            run_id,
            now=database_now(session),
            lease=timedelta(seconds=process.settings.lease_seconds),
            max_claims=3,
            max_subjects=64,
            policy={},
            policy_hash="f" * 64,
        )


def test_the_heartbeat_keeps_the_lease_and_says_how_far_the_run_is(beating: WorkerProcess) -> None:
    run_id = request_forgetting(beating, "user-1")
    claim = claim_again(beating, run_id)
    assert claim is not None
    with Lease(beating.database, claim, beating.settings) as lease:
        let_the_lease_lapse(beating.database, run_id)
        lease.note("half way")
        lease.notebook.trial("ucan", "gamma", 2.0, -1.5)
        deadline = time.monotonic() + SECONDS
        while run_of(beating, run_id).progress != "half way":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert claim_again(beating, run_id) is None
        lease.check()
        with beating.database.read() as session:
            found = notes.figures(session, run_id)
        assert [one.data for one in found if one.kind == "trial"] == [
            {"method": "ucan", "field": "gamma", "value": 2.0, "z": -1.5}
        ]
        lease.notebook.say("at the end", "info", {})
    with beating.database.read() as session:
        assert [one.data["event"] for one in notes.lines(session, run_id)] == ["at the end"]


def test_a_worker_that_was_overtaken_stops_computing(beating: WorkerProcess) -> None:
    run_id = request_forgetting(beating, "user-1")
    claim = claim_again(beating, run_id)
    assert claim is not None
    let_the_lease_lapse(beating.database, run_id)
    assert claim_again(beating, run_id) is not None
    with Lease(beating.database, claim, beating.settings) as lease:
        deadline = time.monotonic() + SECONDS
        while not lease.lost():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(FenceLost):
            lease.check()


@pytest.mark.parametrize("error", [ZeroDivisionError, CandidateRefused])
def test_a_failure_of_a_worker_that_was_overtaken_is_not_the_runs(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Neither is the run put off for it, nor is a person asked."""
    from worker import publication

    run_id = request_forgetting(process, "user-1")
    real = publication.store_version
    stalled: list[bool] = []

    def stalling(*arguments: Any, **named: Any) -> str:
        if stalled:
            return real(*arguments, **named)
        stalled.append(True)
        let_the_lease_lapse(process.database, run_id)
        execute(process, run_id)
        raise error

    monkeypatch.setattr(publication, "store_version", stalling)
    execute(process, run_id)
    run = run_of(process, run_id)
    assert (run.status, run.detail_code, run.lease_until) == ("completed", None, None)
    assert outcome(process, "user-1") == ("completed", "erased")
