"""A gateway whose rows were edited back below the floor that the store vouches for (I3)."""

from __future__ import annotations

import time

from fastapi.testclient import TestClient

from app.api_keys.service import Scope
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from model_store import Floor, open_store
from tests.integration.http.conftest import issue_key

SECONDS = 20


def reason_of(client: TestClient) -> str | None:
    answer = client.get("/recommend", params={"user_id": "user-2"})
    assert answer.status_code == 200
    reason: str | None = answer.json()["fallback_reason"]
    return reason


def test_everybody_gets_the_fallback_and_it_is_said_why(
    client: TestClient, database: Database, settings: Settings, installed: str
) -> None:
    assert reason_of(client) is None
    # The row says 0, as if somebody had put it back; so does the version that is live.
    open_store(settings.store_url).raise_floor(Floor(1, "2026-01-01T00:00:00+00:00"))
    deadline = time.monotonic() + SECONDS
    while reason_of(client) != "below_erasure_floor":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while True:
        adapters = client.get("/adapters").json()
        if adapters["replicas"] and adapters["replicas"][0]["error"] == "below_erasure_floor":
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert adapters["erasure_floor"] == 1
    assert [version["eligible"] for version in adapters["versions"]] == [False]
    assert client.get("/readyz").json()["serving"] is False
    # A gateway that starts mends the row, and takes the version out of service.
    key = issue_key(database, "another", *Scope)
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as started:
        assert reason_of(started) is not None
        adapters = started.get("/adapters").json()
        assert (adapters["live"], adapters["previous"], adapters["erasure_floor"]) == (None, installed, 1)
