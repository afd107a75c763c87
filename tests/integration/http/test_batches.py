"""R-14: a batch has a result for each item, and one bad item never spoils another."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from app.db.clock import database_now
from app.db.models import ForgetBatch, ForgetRequest, KeptAnswer, Run, Suppression
from app.db.session import Database
from app.forget_batches import service as batches
from app.forget_batches.schemas import MAX_BYTES
from app.idempotency.service import KEPT_FOR
from app.settings import Settings
from tests.integration.http.conftest import gateway_of

PATH, KEY = "/forget-batches", {"Idempotency-Key": "batch-1"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_body_bytes": 4 * 1024 * 1024})


def users(*ids: Any) -> dict[str, Any]:
    return {"items": [{"user_id": user} for user in ids]}


def count(database: Database, table: type) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_r14_each_item_has_a_result_of_its_own(client: TestClient, database: Database) -> None:
    first = client.post("/users/user-1/forget").json()
    items = [
        {"user_id": "user-1"},
        {"user_id": "user-2", "reason": "objection", "client_reference": "t-2"},
        {"user_id": "user-2"},
        {"user_id": ""},
        "erika",
        {"user_id": "user-3", "erika@example.com": 1},
        {"user_id": 7},
    ]
    accepted = client.post(PATH, headers=KEY, json={"items": items})
    assert accepted.status_code == 202
    body = accepted.json()
    assert [item["result"] for item in body["items"]] == [
        "existing", "accepted", "existing", "invalid", "invalid", "invalid", "accepted",
    ]  # fmt: skip
    assert body["items"][0]["request"] == f"/forget-requests/{first['id']}"
    assert body["items"][1]["request"] == body["items"][2]["request"]
    assert [error["pointer"] for error in body["items"][3]["errors"]] == ["/user_id"]
    assert body["items"][5]["errors"][0]["pointer"] == "/?"
    assert body["results"] == {"accepted": 2, "existing": 2, "invalid": 3}
    assert "erika" not in accepted.text
    assert count(database, ForgetRequest) == count(database, Suppression) == 3
    assert count(database, Run) == 1
    for user in ("user-1", "user-2"):
        answer = client.get("/recommend", params={"user_id": user}).json()
        assert answer["fallback_reason"] == "suppressed"
    assert client.get("/recommend", params={"user_id": "user-3"}).json()["personalised"]

    found = client.get(accepted.headers["Location"]).json()
    assert found == {name: value for name, value in body.items() if name != "items"}
    assert (found["statuses"], found["done"], found["size"]) == ({"queued": 4}, False, 7)
    assert client.get(f"{accepted.headers['Location']}/items").json() == {"items": body["items"]}


def test_r14_a_batch_is_counted_when_it_is_read(client: TestClient, database: Database) -> None:
    location = client.post(PATH, headers=KEY, json=users("user-1", "user-2")).headers["Location"]
    with database.unit_of_work() as session:
        session.execute(update(ForgetRequest).values(status="completed"))
    found = client.get(location).json()
    assert (found["statuses"], found["done"]) == ({"completed": 2}, True)


def test_r10_a_batch_needs_a_key(client: TestClient, database: Database) -> None:
    refused = client.post(PATH, json=users("user-1"))
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency-key-required")
    assert count(database, ForgetRequest) == 0


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "invalid-request"),
        (b'{"items": []}', 422, "validation-failed"),
        (b'{"items": 1}', 422, "validation-failed"),
        (b'{"items": [' + b"1," * 1000 + b"1]}", 413, "batch-too-large"),
        (b'{"items": [1]}' + b" " * MAX_BYTES, 413, "batch-too-large"),
    ],
)
def test_r14_a_body_that_is_no_batch_is_refused(
    client: TestClient, database: Database, content: bytes, status: int, code: str
) -> None:
    for path in (PATH, f"{PATH}/dry-run"):
        refused = client.post(path, headers=KEY, content=content)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert count(database, ForgetBatch) == 0


def test_r14_a_thousand_items_are_accepted(client: TestClient, database: Database) -> None:
    body = users(*(f"somebody-{number}" for number in range(1000)))
    accepted = client.post(PATH, headers=KEY, json=body)
    assert accepted.json()["results"] == {"accepted": 1000, "existing": 0, "invalid": 0}
    assert (count(database, Suppression), count(database, Run)) == (1000, 1)
    again = client.post(PATH, headers=KEY, json=body)
    assert again.content == accepted.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert count(database, Suppression) == 1000


def test_r14_after_a_crash_the_rest_is_accepted(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.forget_batches.endpoints.SLICE", 2)
    accept, slices = batches.accept_slice, []

    def crash_at_the_second(*arguments: Any, **named: Any) -> Any:
        slices.append(1)
        if len(slices) == 2:
            raise RuntimeError
        return accept(*arguments, **named)

    monkeypatch.setattr(batches, "accept_slice", crash_at_the_second)
    body = users("user-1", "user-2", "user-3", "user-1", "user-4")
    assert client.post(PATH, headers=KEY, json=body).status_code == 500
    assert (count(database, ForgetRequest), count(database, KeptAnswer)) == (2, 0)
    other = client.post(PATH, headers=KEY, json=users("user-1"))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")

    resumed = client.post(PATH, headers=KEY, json=body).json()
    results = [item["result"] for item in resumed["items"]]
    assert results == ["accepted", "accepted", "accepted", "existing", "accepted"]
    assert (count(database, ForgetBatch), count(database, ForgetRequest)) == (1, 4)


def test_r10_a_key_may_be_used_again_after_seven_days(client: TestClient, database: Database) -> None:
    first = client.post(PATH, headers=KEY, json=users("user-1")).json()
    with database.unit_of_work() as session:
        now = database_now(session)
        session.execute(update(KeptAnswer).values(expires_at=now))
        session.execute(update(ForgetBatch).values(received_at=now - KEPT_FOR))
    second = client.post(PATH, headers=KEY, json=users("user-2")).json()
    assert second["id"] != first["id"]
    assert client.get(f"{PATH}/{first['id']}").json()["results"]["accepted"] == 1


def test_r14_a_dry_run_says_what_a_batch_would_do(client: TestClient, database: Database) -> None:
    client.post("/users/user-1/forget")
    tried = client.post(f"{PATH}/dry-run", json=users("user-1", "user-2", "user-2", None)).json()
    assert [item["result"] for item in tried["items"]] == ["existing", "new", "existing", "invalid"]
    assert tried["results"] == {"new": 1, "existing": 2, "invalid": 1}
    assert count(database, ForgetRequest) == 1
    assert client.get("/recommend", params={"user_id": "user-2"}).json()["personalised"]


def test_r14_a_dry_run_tells_a_new_selection_from_a_repeated_one(client: TestClient) -> None:
    """Each result is what the batch itself then says."""
    client.post("/users/user-1/forget", json={"interactions": {"before": 5}})
    client.post("/users/user-3/forget")
    items = [
        {"user_id": "user-1", "interactions": {"before": 5}},
        {"user_id": "user-1", "interactions": {"items": ["i1"]}},
        {"user_id": "user-2", "interactions": {"before": 5}},
        {"user_id": "user-2", "interactions": {"before": 5}},
        {"user_id": "user-2"},
        {"user_id": "user-2", "interactions": {"before": 6}},
        {"user_id": "user-3", "interactions": {"before": 5}},
        {"user_id": "user-4", "regime": "policy"},
    ]
    expected = ["existing", "new", "new", "existing", "new", "existing", "existing", "invalid"]
    tried = client.post(f"{PATH}/dry-run", json={"items": items}).json()
    assert [item["result"] for item in tried["items"]] == expected
    done = client.post(PATH, json={"items": items}, headers={"Idempotency-Key": "selections"}).json()
    assert [item["result"] for item in done["items"]] == [
        {"new": "accepted"}.get(result, result) for result in expected
    ]


def test_a_batch_that_is_not_there_is_a_404(client: TestClient) -> None:
    for path in (f"{PATH}/fb_{'0' * 32}", f"{PATH}/fb_{'0' * 32}/items"):
        assert client.get(path).status_code == 404
    assert gateway_of(client).keys_in_flight == set()
