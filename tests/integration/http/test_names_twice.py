"""A body in which an object has a name twice is refused: nobody can know which of the two users was meant."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.dashboard.pages import PageRoute
from app.db.models import ForgetRequest, Interaction
from app.db.session import Database
from app.json_bodies import JsonRoute, has_name_twice
from tests.integration.http.test_batches import count
from tests.routes import routes_of

TWICE = '"user_id": "erika", "user_id": "erika-2"'
BODIES = {
    "/forget-requests": "{" + TWICE + "}",
    "/users/user-1/forget": '{"interactions": {"before": 1, "before": 2000000000}}',
    "/items/i1/forget": '{"client_reference": "a", "client_reference": "b"}',
    "/forget-batches": '{"items": [{' + TWICE + "}]}",
    "/forget-batches/dry-run": '{"items": [{' + TWICE + "}]}",
    "/interactions": '{"interactions": [{' + TWICE + ', "item_id": "i1", "timestamp": 5}]}',
    "/recommend": '{"users": [{' + TWICE + "}]}",
}


@pytest.mark.parametrize("path", BODIES)
def test_a_name_that_comes_twice_is_refused_and_nothing_is_done(
    client: TestClient, database: Database, path: str
) -> None:
    before = count(database, Interaction)
    headers = {"Content-Type": "application/json", "Idempotency-Key": "twice"}
    answer = client.post(path, content=BODIES[path], headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request"), answer.text
    assert answer.json()["errors"] == [
        {"pointer": "/body", "code": "json_invalid", "message": "an object has a name twice"}
    ]
    assert "erika" not in answer.text
    assert (count(database, ForgetRequest), count(database, Interaction)) == (0, before)


def test_every_route_that_reads_a_body_looks(client: TestClient) -> None:
    app = client.app
    assert isinstance(app, FastAPI)
    reading = [route for route in routes_of(app) if route.body_field is not None]
    assert len(reading) > 10
    assert [route.path for route in reading if not isinstance(route, JsonRoute | PageRoute)] == []


@pytest.mark.parametrize(
    ("content", "twice"),
    [
        (b'{"a": 1, "\\u0061": 2}', True),
        (b'[{"a": {"b": 1, "c": {}, "b": 1}}]', True),
        (b'{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}', False),
        (b'{"b": ' + b"9" * 5000 + b', "a": 1, "a": 2}', True),
        (b'{"a": 1, "A": 2}', False),
        (b"", False),
        (b'{"a": 1, "a": ', False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_only_the_same_object_counts_and_what_is_not_json_is_left_to_its_reader(
    content: bytes, twice: bool
) -> None:
    assert has_name_twice(content) is twice


@pytest.mark.parametrize("path", ["/forget-requests", "/forget-batches", "/users/user-1/forget"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
def test_a_body_in_another_encoding_is_refused(client: TestClient, path: str, encoding: str) -> None:
    body = {
        "/forget-requests": '{"user_id": "erika"}',
        "/forget-batches": '{"items": [{"user_id": "erika"}]}',
    }
    headers = {"Content-Type": "application/json", "Idempotency-Key": "encoded"}
    answer = client.post(path, content=body.get(path, "{}").encode(encoding), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request"), answer.text
    assert answer.json()["errors"][0]["message"] == "a body is in UTF-8, without a byte order mark"
