"""A gateway whose database is restored under it (invariants I2, I10 and I15)."""

from __future__ import annotations

import time

import pytest
from fastapi.testclient import TestClient

from app.db.session import Database
from app.gateway import Gateway
from app.settings import Settings
from model_store import StoreUnavailable, open_store
from tests.integration.backup import back_up

SECONDS = 60


def recommended(client: TestClient, user: str) -> bool:
    answer = client.get("/recommend", params={"user_id": user})
    assert answer.status_code == 200
    personalised: bool = answer.json()["personalised"]
    return personalised


def test_whoever_had_their_202_stays_suppressed_and_their_events_out(
    client: TestClient, database: Database, settings: Settings
) -> None:
    assert recommended(client, "user-1")
    restore = back_up(database.engine)
    accepted = client.post("/users/user-1/forget")
    assert accepted.status_code == 202
    assert not recommended(client, "user-1")
    deadline = time.monotonic() + SECONDS
    while not open_store(settings.store_url).journal_epochs():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    restore()
    event = {"interactions": [{"user_id": "user-1", "item_id": "i1", "timestamp": 1}]}
    deadline = time.monotonic() + SECONDS
    while True:
        assert not recommended(client, "user-1")
        answer = client.post("/interactions", json=event)
        # Until the journal is replayed nothing is taken in; then this is.
        assert answer.status_code in (200, 503)
        if answer.status_code == 200:
            assert answer.json()["dropped_suppressed"] == 1
            if recommended(client, "user-2"):
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # The request is there again, under its id and its clock, also for whoever asks once more.
    found = client.get(accepted.headers["Location"]).json()
    assert (found["id"], found["due_at"]) == (accepted.json()["id"], accepted.json()["due_at"])
    assert client.post("/users/user-1/forget").json()["id"] == found["id"]
    assert client.post("/users/user-3/forget").status_code == 202
    assert not recommended(client, "user-3")


def test_whom_no_journal_knows_is_remembered_by_the_gateway_that_gave_the_202(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was away from the acceptance until the restore: nobody has written the entry."""
    gateway: Gateway = client.app.state.gateway  # type: ignore[attr-defined]

    def away(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(gateway.store, "append_journal", away)
    restore = back_up(database.engine)
    assert client.post("/users/user-1/forget").status_code == 202
    restore()
    deadline = time.monotonic() + SECONDS
    while (again := client.post("/users/user-1/forget")).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (again.status_code, again.headers.get("Forget-Request-Existing")) == (202, "true")
    assert not recommended(client, "user-1")
    while not recommended(client, "user-2"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
