"""When the person asked: whatever instant a caller names, it is taken or refused, and spoils nobody else's request."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

OUT_OF_RANGE = [
    "0001-01-01T00:00:00Z",
    "0001-12-31T23:59:59Z",
    "9999-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-12-31T23:59:59-14:00",
    "9999-01-01T00:00:00+14:00",
]
# In UTC the last two are in the years 1 and 9999.
IN_RANGE = [
    "0002-01-01T00:00:00Z",
    "9998-12-31T23:59:59Z",
    "0002-01-01T00:00:00+14:00",
    "9998-12-31T23:59:59-14:00",
]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/New_York"])
@pytest.mark.parametrize("instant", [*OUT_OF_RANGE, *IN_RANGE])
def test_r48_every_instant_gets_an_answer(client: TestClient, instant: str, zone: str) -> None:
    answer = client.post("/users/user-1/forget", json={"requested_at": instant, "zone": zone})
    # An instant in the future shortens nothing.
    assert answer.status_code == (422 if instant in OUT_OF_RANGE else 202), answer.text
    if instant in OUT_OF_RANGE:
        (error,) = answer.json()["errors"]
        assert (error["pointer"], error["code"]) == ("/body/requested_at", "invalid_instant")


def test_r14_an_instant_out_of_range_is_an_invalid_item_and_no_obstacle_to_the_others(
    client: TestClient,
) -> None:
    items = [
        {"user_id": "user-1"},
        {"user_id": "user-2", "requested_at": OUT_OF_RANGE[0]},
        {"user_id": "user-3"},
    ]
    answer = client.post("/forget-batches", json={"items": items}, headers={"Idempotency-Key": "when"})
    assert [item["result"] for item in answer.json()["items"]] == ["accepted", "invalid", "accepted"]
