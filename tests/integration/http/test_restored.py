"""A gateway whose database is restored under it (invariants I2, I10 and I15)."""

from __future__ import annotations

import time

import pytest
from fastapi.testclient import TestClient

from app.api_keys.service import Scope
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.main import create_app
from app.replicas.service import DatabaseControlPlane
from app.settings import Settings
from model_store import StoreUnavailable, open_store
from tests.integration.backup import back_up
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.tiny_model import accept

pytestmark = pytest.mark.both_databases
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


@pytest.mark.usefixtures("installed")
def test_a_gateway_that_was_cut_off_and_meets_a_copy_that_lags_asks_the_store_first(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither it nor the copy has ever seen who was accepted meanwhile, by a gateway that is gone since."""
    key = issue_key(database, "everything", *Scope)
    settings = settings.model_copy(update={"feed_lease_seconds": 1.0})
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as client:
        wait_until_personalised(client, "user-1")
        with monkeypatch.context() as partition:
            partition.setattr(DatabaseControlPlane, "read", unreachable)
            deadline = time.monotonic() + SECONDS
            while recommended(client, "user-1"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            restore = back_up(database.engine)
            request = accept(database, "user-1").request
            open_store(settings.store_url).append_journal(forget_requests.journal_entry(request))
            restore()
        deadline = time.monotonic() + SECONDS
        while not recommended(client, "user-2"):
            assert not recommended(client, "user-1")
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not recommended(client, "user-1")
        assert client.get(f"/forget-requests/{request.id}").json()["due_at"] is not None


def unreachable(*_: object) -> None:
    raise DatabaseUnavailable


def wait_until_personalised(client: TestClient, user: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not recommended(client, user):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_whom_no_journal_knows_is_remembered_by_the_gateway_that_gave_the_202(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was away from the acceptance until the restore: nobody has written the entry."""
    gateway = gateway_of(client)

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
