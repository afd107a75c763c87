"""Prometheus is told whether work goes on: how long runs work and took, how long a request waits (R-35)."""

from __future__ import annotations

from datetime import timedelta

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from app.db.base import utc_now
from app.db.models import ForgetRequest, Run, RunStatus
from app.db.session import Database
from app.runs import history
from tests.integration.http.test_worklist import forget

NAMES = ("lethe_run_working_seconds", "lethe_run_p95_seconds", "lethe_oldest_queued_seconds")
ONE = timedelta(hours=1)


def told(client: TestClient) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("kind", "")): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name in NAMES
    }


def test_r35_nothing_works_and_nothing_was_measured(client: TestClient) -> None:
    assert told(client) == {
        ("lethe_run_working_seconds", "forget"): 0,
        ("lethe_run_working_seconds", "selection"): 0,
        ("lethe_run_working_seconds", "consolidation"): 0,
        ("lethe_oldest_queued_seconds", ""): 0,
    }


def test_r35_a_run_is_told_beside_what_those_of_its_kind_took(client: TestClient, database: Database) -> None:
    forget(client, "a", "b")
    now = utc_now()
    with database.unit_of_work() as session:
        run = session.scalars(select(Run)).one()
        run.status, run.started_at = RunStatus.RUNNING, now - 3 * ONE
        for number in range(1, 21):
            session.add(
                Run(
                    id=f"ur_{number}",
                    kind="forget",
                    status=RunStatus.COMPLETED,
                    created_at=now - 100 * ONE,
                    started_at=now - 100 * ONE,
                    finished_at=now - 100 * ONE + timedelta(seconds=number),
                )
            )
    found = told(client)
    # The nineteenth of twenty; and the run goes on while the metrics are read.
    assert found["lethe_run_p95_seconds", "forget"] == 19
    assert ("lethe_run_p95_seconds", "selection") not in found
    assert 3 * 3600 <= found["lethe_run_working_seconds", "forget"] < 4 * 3600
    assert found["lethe_run_working_seconds", "selection"] == 0


def test_r35_a_request_waits_since_it_came_into_the_queue(client: TestClient, database: Database) -> None:
    first, second = forget(client, "a", "b")
    now = utc_now()
    with database.unit_of_work() as session:
        for request_id, hours in ((first, 2), (second, 1)):
            request = session.get_one(ForgetRequest, request_id)
            request.received_at, request.status_since = now - 100 * ONE, now - hours * ONE
    assert 2 * 3600 <= told(client)["lethe_oldest_queued_seconds", ""] < 3 * 3600
    with database.unit_of_work() as session:
        # By an earlier release, which does not write since when.
        session.get_one(ForgetRequest, first).status_since = None
    with database.read() as session:
        assert history.oldest_waiting(session) == now - 100 * ONE
