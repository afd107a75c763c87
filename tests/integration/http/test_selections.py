"""Forgetting some of a person's interactions over HTTP: they stay personalised on the rest."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.integration.http.conftest import gateway_of


def recommended(client: TestClient, k: int = 17) -> set[str]:
    body = client.get("/recommend", params={"user_id": "user-1", "k": k}).json()
    assert body["personalised"]
    return {item["item_id"] for item in body["items"]}


def test_from_the_202_on_the_events_are_no_part_of_the_history(client: TestClient) -> None:
    seen = {f"i{(5 + step) % 24}" for step in range(8)}
    assert not seen & recommended(client, 16)
    answer = client.post("/users/user-1/forget", json={"interactions": {"items": ["i5"]}})
    assert answer.status_code == 202
    request = answer.json()
    assert (request["scope"], request["selected_events"], request["status"]) == ("interactions", 1, "queued")
    # Nobody has seen it any more, so it may be recommended; the person stays personalised.
    assert "i5" in recommended(client)
    again = client.post("/users/user-1/forget", json={"interactions": {"items": ["i5"]}})
    assert again.json()["id"] == request["id"]
    repeated = {"interactions": [{"user_id": "user-1", "item_id": "i5", "timestamp": 1}]}
    assert client.post("/interactions", json=repeated).json()["dropped_suppressed"] == 1
    entries = gateway_of(client).store
    while not (found := list(entries.journal())):
        pass
    assert found[0].selection is not None
    assert "i5" not in str(found[0].selection["items"])


@pytest.mark.parametrize(
    ("selection", "code"),
    [
        ({}, "no_criterion"),
        ({"after": 10, "before": 10}, "empty_period"),
        ({"items": []}, "too_short"),
        ({"items": ["x"] * 101}, "too_long"),
        ({"before": "soon"}, "invalid_time"),
        ({"before": -1}, "invalid_time"),
        ({"items": ["null"]}, "invalid_id"),
        ({"item": ["x"]}, "extra_forbidden"),
    ],
)
def test_a_selection_that_selects_nothing_or_is_malformed_is_refused(
    client: TestClient, selection: dict[str, object], code: str
) -> None:
    answer = client.post("/users/user-1/forget", json={"interactions": selection})
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]
    # Nothing was accepted.
    assert "suppressed" not in client.get("/recommend", params={"user_id": "user-1"}).text


def test_whoever_asks_for_everything_afterwards_is_suppressed(client: TestClient) -> None:
    first = client.post("/users/user-1/forget", json={"interactions": {"before": 10**9}}).json()
    whole = client.post("/users/user-1/forget").json()
    assert (whole["scope"], whole["id"] != first["id"]) == ("user", True)
    body = client.get("/recommend", params={"user_id": "user-1"}).json()
    assert (body["personalised"], body["fallback_reason"]) == (False, "suppressed")
    # What is left of them is covered by the request for everything.
    assert (
        client.post("/users/user-1/forget", json={"interactions": {"items": ["i6"]}}).json()["id"]
        == whole["id"]
    )
