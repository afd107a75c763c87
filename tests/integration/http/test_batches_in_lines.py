"""R-14: a batch may be one item on each line, and no line spoils another."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.db.models import ForgetBatch, ForgetRequest, Suppression
from app.db.session import Database
from app.forget_batches.schemas import MAX_BYTES, MAX_ITEMS
from app.settings import Settings
from tests.integration.http.test_batches import KEY, PATH, count

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_body_bytes": 4 * 1024 * 1024})


def send(client: TestClient, content: bytes, *, path: str = PATH, **headers: str) -> httpx.Response:
    return client.post(path, headers=KEY | NDJSON | headers, content=content)


def results(answer: httpx.Response) -> list[str]:
    assert answer.status_code in (200, 202), answer.text
    return [item["result"] for item in answer.json()["items"]]


def test_r14_a_batch_in_lines_says_of_each_item_what_the_same_batch_in_json_says(
    client: TestClient, database: Database
) -> None:
    client.post("/users/user-1/forget")
    items: list[Any] = [
        {"user_id": "user-1"},
        {"user_id": "user-2", "reason": "objection", "client_reference": "t-2"},
        {"user_id": "user-2"},
        {"user_id": ""},
        "erika",
        None,
        {"user_id": "user-3", "erika@example.com": 1},
        {"user_id": 7},
        {"user_id": "a\u2028b"},
        {"user_id": "user-3", "interactions": {"before": 5}},
        {"user_id": "user-4", "regime": "policy"},
    ]
    lines = "\n".join(json.dumps(item, ensure_ascii=False) for item in items).encode()
    tried_in_json = client.post(f"{PATH}/dry-run", json={"items": items}).json()
    assert send(client, lines, path=f"{PATH}/dry-run").json() == tried_in_json
    assert count(database, ForgetBatch) == 0

    accepted = send(client, lines)
    body = accepted.json()
    assert results(accepted) == [
        {"new": "accepted"}.get(item["result"], item["result"]) for item in tried_in_json["items"]
    ]
    assert [item["errors"] for item in body["items"]] == [item["errors"] for item in tried_in_json["items"]]
    assert [item["position"] for item in body["items"]] == list(range(len(items)))
    assert "erika" not in accepted.text
    assert client.get(accepted.headers["Location"]).json()["size"] == len(items)
    assert client.get("/recommend", params={"user_id": "user-2"}).json()["fallback_reason"] == "suppressed"


GOOD = b'{"user_id": "user-%d"}'
BAD = {
    "no JSON": b"erika",
    "cut": b'{"user_id": "erika"',
    "two values": b'{"user_id": "erika"} {"user_id": "erika"}',
    "ended by a carriage return": b'{"user_id": "erika"}\r{"user_id": "erika"}',
    "no UTF-8": b'{"user_id": "erika\xff"}',
    "UTF-16": '{"user_id": "erika"}'.encode("utf-16-le"),
    "a lone surrogate": b'{"user_id": "\\ud800"}',
    "too deep": b'{"user_id": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a trailing comma": b'{"user_id": "erika",}',
    "no object": b"7",
    "not a number": b'{"user_id": NaN}',
    "endless": b'{"user_id": Infinity}',
    "out of range": b'{"user_id": 1e999}',
    "null": b"null",
    "a name twice": b'{"user_id": "erika", "user_id": "erika-2"}',
    "huge": b'{"user_id": "' + b"erika" * 80_000 + b'"}',
}


@pytest.mark.parametrize("bad", BAD)
def test_r14_a_bad_line_is_an_invalid_item_and_delays_no_other(
    client: TestClient, database: Database, bad: str
) -> None:
    answer = send(client, b"\n".join((GOOD % 1, BAD[bad], GOOD % 2)) + b"\n")
    assert results(answer) == ["accepted", "invalid", "accepted"]
    (error,) = answer.json()["items"][1]["errors"]
    assert error["pointer"] in ("/", "/user_id")
    assert error["message"]
    assert "line 1" not in error["message"]
    assert "erika" not in answer.text
    assert count(database, Suppression) == 2


def test_r14_a_byte_order_mark_spoils_the_line_that_it_is_in(client: TestClient) -> None:
    """Nobody has to guess what a mark within an item means; JSON bodies with one are refused too."""
    answer = send(client, b"\xef\xbb\xbf" + GOOD % 1 + b"\n" + GOOD % 2)
    assert results(answer) == ["invalid", "accepted"]
    assert answer.json()["items"][0]["errors"] == [
        {"pointer": "/", "code": "json_invalid", "message": "Invalid JSON: expected value at column 1"}
    ]
    # Without the mark it is another request, though `json.loads` reads the same.
    again = send(client, GOOD % 1 + b"\n" + GOOD % 2)
    assert (again.status_code, again.json()["code"]) == (422, "idempotency-key-reused")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD % 1, 1),
        (GOOD % 1 + b"\n", 1),
        (b"\n\n" + GOOD % 1 + b"\r\n \t\r\n" + GOOD % 2 + b"\n\n", 2),
        (b" " + GOOD % 1 + b"  \n\t" + GOOD % 2, 2),
    ],
)
def test_r14_blank_lines_and_a_missing_end_count_for_nothing(
    client: TestClient, content: bytes, expected: int
) -> None:
    answer = send(client, content)
    assert results(answer) == ["accepted"] * expected
    assert [item["position"] for item in answer.json()["items"]] == list(range(expected))


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "validation-failed"),
        (b"\n \r\n\t\n", 422, "validation-failed"),
        (b"1\n" * (MAX_ITEMS + 1), 413, "batch-too-large"),
        (b"1\n" + b" " * MAX_BYTES, 413, "batch-too-large"),
        (b'{"user_id": "' + b"x" * MAX_BYTES + b'"}', 413, "batch-too-large"),
    ],
)
def test_r14_lines_that_are_no_batch_are_refused(
    client: TestClient, database: Database, content: bytes, status: int, code: str
) -> None:
    for path in (PATH, f"{PATH}/dry-run"):
        refused = send(client, content, path=path)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert (count(database, ForgetBatch), count(database, ForgetRequest)) == (0, 0)


def test_r14_as_many_lines_as_items_are_accepted(client: TestClient, database: Database) -> None:
    content = b"\n".join(GOOD % number for number in range(MAX_ITEMS))
    accepted = send(client, content)
    assert accepted.json()["results"] == {"accepted": MAX_ITEMS, "existing": 0, "invalid": 0}
    again = send(client, b"\n" + content.replace(b": ", b" :") + b"\n")
    # Neither space nor the order of members nor blank lines make it another request.
    assert again.content == accepted.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert count(database, Suppression) == MAX_ITEMS


@pytest.mark.parametrize("kind", ["application/x-ndjson; charset=utf-8", " Application/X-NDJSON "])
def test_r14_the_media_type_says_what_the_same_bytes_mean(client: TestClient, kind: str) -> None:
    same = b'{"items": [{"user_id": "user-1"}]}'
    in_json = client.post(PATH, headers=KEY | {"Content-Type": "application/json"}, content=same)
    assert results(in_json) == ["accepted"]
    reused = client.post(PATH, headers=KEY | {"Content-Type": kind}, content=same)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency-key-reused")
    other = client.post(PATH, headers={"Idempotency-Key": "other", "Content-Type": kind}, content=same)
    # As a line it is an item, which lacks the user and has a member that no item has.
    assert results(other) == ["invalid"]


def test_r14_json_without_a_media_type_stays_json(client: TestClient) -> None:
    for kind in ("", "text/plain", "application/json-seq", "application/x-ndjson-not"):
        headers = {"Idempotency-Key": f"key-{kind}"} | ({"Content-Type": kind} if kind else {})
        answer = client.post(PATH, headers=headers, content=b'{"items": [{"user_id": "user-1"}]}')
        assert results(answer)[0] in ("accepted", "existing")


def test_r11_a_batch_that_is_too_large_is_refused_once_and_the_refusal_replayed(client: TestClient) -> None:
    content = b"\n".join(GOOD % number for number in range(MAX_ITEMS + 1))
    answers = [send(client, content) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [413, 413]
    assert ["Idempotent-Replayed" in answer.headers for answer in answers] == [False, True]
    assert answers[0].content == answers[1].content
