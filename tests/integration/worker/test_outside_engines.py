"""A gateway's vLLM server and its folder outlive it: nothing is erased while they may hold the person."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.audit.queries import Filter, every
from app.db.base import utc_now
from app.db.models import Replica
from app.replicas import service as replicas
from app.replicas.queries import silent_engines
from app.replicas.service import DatabaseControlPlane, NotSilent, ReplicaReport
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.observing import live, outcome, request_of, rows_of, run_of
from worker.execution import execute
from worker.process import WorkerProcess

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ENGINE = "e" * 64
TIMEOUT = timedelta(seconds=15)


@pytest.fixture
def waiting(process: WorkerProcess, installed: str) -> tuple[WorkerProcess, str]:
    """A run after a gateway was killed, with all that its last report says."""
    hurried = {"prepare_timeout_seconds": 0.0, "acknowledge_timeout_seconds": 0.0}
    process = replace(process, settings=process.settings.model_copy(update=hurried))
    with process.database.unit_of_work() as session:
        session.add(gone("killed", minutes=5, resident=installed))
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    return process, run_id


def gone(name: str, *, minutes: int, resident: str, engine: str | None = ENGINE) -> Replica:
    return Replica(
        id=name,
        last_seen_at=utc_now() - timedelta(minutes=minutes),
        generation=1,
        live_digest=resident,
        epoch=0,
        resident_versions=[resident],
        outside_engine=engine,
    )


def again(process: WorkerProcess, run_id: str) -> tuple[str, str | None]:
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    return outcome(process, "user-1")


def report(process: WorkerProcess, *resident: str, name: str = "restarted", engine: str = ENGINE) -> None:
    DatabaseControlPlane(process.database).report(
        ReplicaReport(name, 10**6, live(process), None, 10**6, resident, outside_engine=engine)
    )


def test_a_killed_gateway_holds_up_the_run_until_a_new_one_has_taken_its_server_over(
    waiting: tuple[WorkerProcess, str], installed: str
) -> None:
    process, run_id = waiting
    assert outcome(process, "user-1") == ("deploying", None)
    assert live(process) != installed
    assert (run_of(process, run_id).detail_code, rows_of(process, "user-1") > 0) == ("engines_silent", True)
    assert request_of(process, "user-1").detail_code == "engines_silent"
    # Another server says nothing of that one, and the new process of that one starts with what it finds.
    report(process, live(process), name="another", engine="f" * 64)
    assert again(process, run_id) == ("deploying", None)
    report(process, live(process), installed)
    assert again(process, run_id) == ("deploying", None)
    assert run_of(process, run_id).detail_code == "replicas_silent"
    report(process, live(process))
    assert again(process, run_id) == ("completed", "erased")


def test_a_version_older_than_the_parent_holds_up_the_run_too(waiting: tuple[WorkerProcess, str]) -> None:
    process, run_id = waiting
    report(process, live(process), "0" * 64)
    assert again(process, run_id) == ("deploying", None)
    report(process, live(process))
    assert again(process, run_id) == ("completed", "erased")


def test_an_operator_may_say_that_the_server_is_stopped_and_its_folder_emptied(
    waiting: tuple[WorkerProcess, str], installed: str
) -> None:
    process, run_id = waiting
    with process.transaction() as transaction:
        replicas.retire(transaction, "killed", timeout=TIMEOUT, actor="somebody")
    assert again(process, run_id) == ("completed", "erased")
    with process.database.read() as session:
        (entry,) = every(session, Filter(action="replica.engine_emptied"))
    assert (entry.actor, entry.data) == ("somebody", {"replica": "killed", "versions": [installed]})


def test_only_a_silent_replica_with_an_engine_outside_is_retired(
    process: WorkerProcess, installed: str
) -> None:
    report(process, installed, name="alive")
    with process.database.unit_of_work() as session:
        session.add(gone("in-process", minutes=5, resident=installed, engine=None))
        session.add(gone("taken over", minutes=5, resident=installed))
    for name in ("alive", "in-process", "taken over", "unheard-of"):
        with pytest.raises(NotSilent), process.transaction() as transaction:
            replicas.retire(transaction, name, timeout=TIMEOUT, actor="somebody")


def test_a_silent_replica_whose_engine_outlives_it_is_not_forgotten(
    process: WorkerProcess, installed: str
) -> None:
    days = 3 * 24 * 60
    with process.database.unit_of_work() as session:
        session.add(gone("earlier", minutes=days + 1, resident=installed))
        session.add(gone("last", minutes=days, resident=installed))
        session.add(gone("in-process", minutes=days, resident=installed, engine=None))
        session.flush()
        replicas.forget_old_replicas(session, utc_now())
        assert [replica.id for replica in session.query(Replica)] == ["last"]
        assert [one.id for one in silent_engines(session, now=utc_now(), timeout=TIMEOUT)] == ["last"]
