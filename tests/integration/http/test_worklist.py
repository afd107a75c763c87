"""GET /forget-requests and GET /statistics/erasures as a caller sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient


def forget(client: TestClient, *users: str) -> list[str]:
    return [
        client.post(f"/users/{user}/forget", json={"client_reference": f"zd-{user}"}).json()["id"]
        for user in users
    ]


def test_the_worklist_is_read_page_by_page(client: TestClient) -> None:
    made = forget(client, "a", "b", "c")
    first = client.get("/forget-requests", params={"limit": 2}).json()
    assert [request["id"] for request in first["forget_requests"]] == made[:2]
    assert first["forget_requests"][0].keys() == client.post("/users/a/forget").json().keys()
    second = client.get("/forget-requests", params={"cursor": first["next_cursor"]}).json()
    assert [request["id"] for request in second["forget_requests"]] == made[2:]
    assert second["next_cursor"] is None


def test_filters_are_parameters(client: TestClient) -> None:
    made = forget(client, "a", "b")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    def ids(**parameters: object) -> list[str]:
        answer = client.get("/forget-requests", params=parameters)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return [request["id"] for request in answer.json()["forget_requests"]]

    assert ids(client_reference="zd-b") == made[1:]
    assert ids(status=["queued", "completed"]) == made
    assert ids(status="completed") == []
    assert ids(overdue=True) == []
    assert ids(overdue=False, received_before=soon) == made
    assert ids(received_from=soon) == []


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"cursor": "no cursor"}, "string_pattern_mismatch"),
        ({"limit": 501}, "less_than_equal"),
        ({"status": "failed"}, "enum"),
        ({"received_from": "2026-01-01T00:00:00"}, "timezone_aware"),
        ({"received_from": "1767225600"}, "invalid_instant"),
        ({"received_before": "0001-01-01T00:00:00+01:00"}, "invalid_instant"),
        ({"client_reference": "zd 1"}, "string_pattern_mismatch"),
    ],
)
def test_a_wrong_parameter_is_a_problem(client: TestClient, parameters: dict[str, str], code: str) -> None:
    answer = client.get("/forget-requests", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [error["code"] for error in answer.json()["errors"]] == [code]


def test_r51_statistics_of_this_year_and_of_one_without_requests(client: TestClient) -> None:
    forget(client, "a", "b")
    (year,) = client.get("/statistics/erasures").json()["years"]
    assert (year["received"], year["open"], year["outcomes"]) == (2, 2, [])
    (empty,) = client.get("/statistics/erasures", params={"year": 2001}).json()["years"]
    assert (empty["year"], empty["received"], empty["median_days"]) == (2001, 0, None)
    assert client.get("/statistics/erasures", params={"year": 0}).status_code == 422
