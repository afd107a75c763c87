"""What a caller, the dashboard and Prometheus are told of requests that stay too long in one state (R-4)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from app.audit.log import AuditLog
from app.db.base import utc_now
from app.db.models import ForgetRequest
from app.db.session import Database
from app.settings import Settings
from tests.integration.http.conftest import gateway_of
from tests.integration.http.test_worklist import forget
from worker.sweeper import tell_stalled


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"longest_hours": {"queued": 5}}), encoding="utf-8")
    return settings.model_copy(update={"request_policy": str(file)})


def age(database: Database, request_id: str, hours: float) -> None:
    """Let the request have waited for so long."""
    with database.unit_of_work() as session:
        session.get_one(ForgetRequest, request_id).status_since = utc_now() - timedelta(hours=hours)


def gauge(client: TestClient) -> dict[str, float]:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        if family.name == "lethe_forget_requests_stalled":
            return {sample.labels["status"]: sample.value for sample in family.samples}
    return {}


def test_r4_a_request_that_waits_too_long_says_so_though_no_worker_is_left(
    client: TestClient, database: Database
) -> None:
    late, fine = forget(client, "a", "b")
    first = client.get(f"/forget-requests/{late}")
    assert first.json()["stalled"] is False
    age(database, late, 5.1)
    age(database, fine, 4.9)
    found = client.get(f"/forget-requests/{late}", headers={"If-None-Match": first.headers["ETag"]})
    assert (found.status_code, found.json()["stalled"]) == (200, True)
    assert client.post("/users/a/forget").json()["stalled"] is True

    def ids(**parameters: bool) -> list[str]:
        answer = client.get("/forget-requests", params=parameters).json()
        return [one["id"] for one in answer["forget_requests"]]

    assert (ids(stalled=True), ids(stalled=False)) == ([late], [fine])
    counted = gauge(client)
    assert counted.pop("queued") == 1
    assert set(counted.values()) == {0.0}
    assert len(counted) == 7


def test_r4_the_worklist_counts_them_and_lists_them_alone(client: TestClient, database: Database) -> None:
    late, fine = forget(client, "a", "b")
    age(database, late, 6)
    page = client.get("/", params={"stalled": "yes"}, headers={"Accept": "text/html"}).text
    assert late in page
    assert fine not in page
    assert "stalled=yes" in page
    shown = client.get(f"/dashboard/requests/{late}", headers={"Accept": "text/html"}).text
    assert "stalled" in shown
    assert "stalled" not in client.get(f"/dashboard/requests/{fine}", headers={"Accept": "text/html"}).text


def test_r4_what_was_told_is_on_the_page_of_the_request(
    client: TestClient, database: Database, settings: Settings
) -> None:
    (late,) = forget(client, "a")
    age(database, late, 6)
    longest = gateway_of(client).request_policy.longest_hours
    assert tell_stalled(database, AuditLog.of(settings), longest) == 1
    shown = client.get(f"/dashboard/requests/{late}", headers={"Accept": "text/html"}).text
    assert "the 5 h that it may take from" in shown
    with database.read() as session:
        assert session.scalars(select(ForgetRequest.stalled_at)).one() is not None
