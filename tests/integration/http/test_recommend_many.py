"""POST /recommend: each user has a result of their own, and no history in a body brings back what was forgotten."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.connections import Connections
from app.db.errors import DatabaseUnavailable
from app.errors import Problem
from app.recommendations import many
from app.serving import QueueFull
from tests.integration.http.conftest import gateway_of
from tests.integration.tiny_model import USERS, subject_of
from tests.served import served

LATE = 4_000_000_000


# These answers do not depend on which database it is.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def ask(client: TestClient, *users: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/recommend", json={"users": list(users)})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def own(user: str, *items: int, time: int | None = None, **more: Any) -> dict[str, Any]:
    """A user with this history in the body."""
    timed = {} if time is None else {"timestamp": time}
    return {"user_id": user, "history": [{"item_id": f"i{item}", **timed} for item in items], **more}


def test_each_user_gets_what_they_would_get_alone_in_the_order_of_the_request(client: TestClient) -> None:
    users = ["user-3", "nobody", "user-1"]
    alone = [client.get("/recommend", params={"user_id": user, "k": 4}).json() for user in users]
    together = ask(client, *({"user_id": user, "k": 4} for user in users))
    assert [one["problem"] for one in together] == [None] * 3
    assert [one["recommendation"]["version"] for one in together] == [one["version"] for one in alone]
    assert [[item["item_id"] for item in one["recommendation"]["items"]] for one in together] == [
        [item["item_id"] for item in one["items"]] for one in alone
    ]
    assert together[1]["recommendation"]["fallback_reason"] == "unknown_user"


def test_a_history_in_the_body_is_read_in_place_of_the_stored_one_and_is_not_stored(
    client: TestClient,
) -> None:
    stored, given, unknown = ask(
        client,
        {"user_id": "user-1", "k": 5},
        own("nobody", *USERS["user-1"], k=5),
        own("user-2", 9_999, k=5),
    )
    assert items_of(given) == items_of(stored)
    assert given["recommendation"]["personalised"]
    # Nothing of it is an item here.
    assert unknown["recommendation"]["fallback_reason"] == "unknown_user"
    assert client.get("/recommend", params={"user_id": "nobody"}).json()["fallback_reason"] == "unknown_user"


def test_candidates_are_the_only_items_that_are_ranked(client: TestClient) -> None:
    (result,) = ask(client, own("nobody", 0, 1, 2, candidates=["i20", "i21", "nothing"]))
    assert set(items_of(result)) == {"i20", "i21"}


def test_a_suppressed_user_gets_the_popular_items_whatever_history_comes(client: TestClient) -> None:
    assert client.post("/users/user-1/forget").status_code == 202
    hers, stored, others = ask(client, own("user-1", 3, 4, 5), {"user_id": "user-1"}, own("user-2", 3, 4, 5))
    assert hers["recommendation"]["fallback_reason"] == "suppressed"
    assert hers["recommendation"] == stored["recommendation"]
    assert others["recommendation"]["personalised"]


def test_somebody_whom_only_the_database_knows_to_be_suppressed_is_not_personalised(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another replica, before its next look at the feed."""
    engine = gateway_of(client).engine
    assert client.post("/users/user-1/forget").status_code == 202
    monkeypatch.setattr(engine, "reason_to_fall_back", lambda _: None)
    monkeypatch.setattr(engine, "_obstacle", lambda _: None)
    (hers,) = ask(client, own("user-1", 3, 4, 5))
    assert not hers["recommendation"]["personalised"]


@pytest.mark.parametrize("time", [None, 5])
def test_events_that_a_user_has_had_forgotten_are_left_out_of_a_history_in_the_body(
    client: TestClient, time: int | None
) -> None:
    before, without = ask(client, own("user-1", 3, 4, 5, time=time), own("user-1", 4, 5, time=LATE))
    assert client.post("/users/user-1/forget", json={"interactions": {"items": ["i3"]}}).status_code == 202
    after, later = ask(client, own("user-1", 3, 4, 5, time=time), own("user-1", 3, 4, 5, time=LATE))
    assert before["recommendation"]["personalised"]
    if time is None:
        # Nobody can tell which events these are.
        assert after["recommendation"]["fallback_reason"] == "unknown_user"
    else:
        assert items_of(after) == items_of(without) != items_of(before)
    # What they do after they have asked is a new event.
    assert items_of(later) == items_of(before)


def test_no_answer_about_many_names_an_item_that_was_taken_down_and_no_history_counts_it(
    client: TestClient,
) -> None:
    engine = gateway_of(client).engine
    (without,) = ask(client, own("nobody", 1, 2, k=24))
    engine.take_down(1, "i20")
    ranked, named, history, popular = ask(
        client,
        own("nobody", 1, 2, k=24),
        own("nobody", 1, 2, candidates=["i20", "i21"]),
        own("nobody", 20, 1, 2, k=24),
        {"user_id": "nobody", "k": 24},
    )
    assert "i20" in items_of(without)
    assert "i20" not in {*items_of(ranked), *items_of(popular)}
    assert items_of(named) == ["i21"]
    assert items_of(history) == items_of(ranked)


def test_without_a_database_no_history_in_a_body_is_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_question: object) -> object:
        raise DatabaseUnavailable

    monkeypatch.setattr(gateway_of(client).reader, "read_soon", away)
    (result,) = ask(client, own("user-2", 3, 4, 5))
    assert result["recommendation"]["fallback_reason"] == "no_history"


def test_a_user_who_cannot_be_answered_has_a_problem_and_the_others_have_answers(client: TestClient) -> None:
    most = gateway_of(client).most_recommendations
    too_many = [f"i{number}" for number in range(24)] * 2
    wide, fine, named = ask(
        client,
        {"user_id": "user-1", "k": most + 1},
        {"user_id": "user-2"},
        {"user_id": "user-3", "candidates": too_many},
    )
    assert wide["problem"]["code"] == "validation-failed"
    assert wide["recommendation"] is None
    assert fine["recommendation"]["personalised"]
    assert named["recommendation"] is not None


def test_what_the_model_is_too_busy_for_says_when_to_come_back(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = gateway_of(client).engine
    real, refused = engine.recommend_soon, {subject_of("user-1")}

    async def recommend_soon(subject: str, *arguments: Any, **options: Any) -> Any:
        if subject in refused:
            raise QueueFull(7)
        return await real(subject, *arguments, **options)

    monkeypatch.setattr(engine, "recommend_soon", recommend_soon)
    busy, fine = ask(client, {"user_id": "user-1"}, {"user_id": "user-2"})
    assert (busy["problem"]["code"], busy["problem"]["retry_after_seconds"]) == ("overloaded", 7)
    assert fine["problem"] is None
    refused.add(subject_of("user-2"))
    answer = client.post("/recommend", json={"users": [{"user_id": "user-1"}, {"user_id": "user-2"}]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"users": []},
        {"users": [{"user_id": "u"}] * 101},
        {"users": [{"user_id": ""}]},
        {"users": [{"user_id": "u", "k": 0}]},
        {"users": [{"user_id": "u", "history": [{"item_id": "i1", "timestamp": "soon"}]}]},
        {"users": [{"user_id": "u", "more": 1}]},
    ],
)
def test_a_body_that_is_not_one_is_refused_as_a_whole(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/recommend", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")


def test_the_histories_of_one_body_have_a_limit_together(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "MOST_OWN_EVENTS", 3)
    answer = client.post("/recommend", json={"users": [own("user-1", 1, 2), own("user-2", 3, 4)]})
    assert (answer.status_code, answer.json()["maximum"]) == (422, 3)


def test_no_more_than_some_users_of_one_body_wait_for_the_model_at_a_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "_AT_A_TIME", 2)
    under_way, most = 0, 0
    real = many._result

    async def result(*arguments: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await real(*arguments)
        finally:
            under_way -= 1

    monkeypatch.setattr(many, "_result", result)
    assert len(ask(client, *({"user_id": user} for user in USERS))) == len(USERS)
    assert most == 2


@pytest.mark.parametrize(("held", "sent"), [(2, "all"), (1, "head")])
def test_an_answer_about_many_is_looked_at_when_its_bytes_are_written(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, held: int, sent: str
) -> None:
    """One of them asks to be forgotten after the answer was put together: the bytes are held back."""
    engine = gateway_of(client).engine
    real, body = many._response, b'{"users": [{"user_id": "user-1"}, {"user_id": "user-2"}]}'

    def then_forgotten(results: Any) -> Any:
        assert not any(isinstance(result, Problem) for result in results)
        if held == 1:
            engine.suppress(1, subject_of("user-2"))
        return real(results)

    monkeypatch.setattr(many, "_response", then_forgotten)
    connections: Connections = client.app.state.connections  # type: ignore[attr-defined]
    with (
        served(client.app, connections) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection,
    ):
        connection.sendall(
            f"POST /recommend HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/json\r\nAuthorization: {client.headers['Authorization']}\r\n\r\n".encode()
            + body
        )
        received = b""
        with suppress(ConnectionResetError):
            while data := connection.recv(4096):
                received += data
    assert bool(received) == (sent == "all")


def items_of(result: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in result["recommendation"]["items"]]
