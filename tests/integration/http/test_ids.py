"""Ids as identity providers write them, in every place where one may stand."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from fastapi.testclient import TestClient
from sqlalchemy import select

from app.db.models import ForgetRequest, Interaction
from app.db.session import Database
from tests.integration.tiny_model import subject_of

IDS = [
    "auth0|5f7c8ec7c33c",
    "google-oauth2|1234",
    "user+tag@example.org",
    "CN=Ada Lovelace,OU=people",
    "a/b",
    "x/forget",
    "forget",
    "../..",
    "%2F",
    "%2e%2e",
    "/leading",
    "trailing/",
    "//",
    "Zoë",
    "李雷",
    "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
    "what?#[]&;",
    "subject key check",
    "x" * 256,
]
BAD = ["", "   ", "nan", "NULL", "x" * 257, "a\x00b", "a\nb", "a\n", "a\N{LINE SEPARATOR}b"]


def in_path(user_id: str) -> str:
    return f"/users/{quote(user_id, safe='')}/forget"


def stored_times(database: Database) -> list[int]:
    """Of the user u."""
    of_u = select(Interaction.timestamp).where(Interaction.subject_hmac == subject_of("u"))
    with database.read() as session:
        return list(session.scalars(of_u.order_by(Interaction.timestamp)))


def subjects_of_requests(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(ForgetRequest.subject_hmac).order_by(ForgetRequest.epoch)))


def test_any_id_is_forgotten_by_path_and_by_body_as_the_same_user(
    client: TestClient, database: Database
) -> None:
    for user_id in IDS:
        by_path = client.post(in_path(user_id))
        assert by_path.status_code == 202, (user_id, by_path.text)
        assert subjects_of_requests(database)[-1] == subject_of(user_id), user_id
        by_body = client.post("/forget-requests", json={"user_id": user_id, "reason": "objection"})
        assert (by_body.status_code, by_body.json()["id"]) == (202, by_path.json()["id"])
        assert by_body.headers["Location"] == by_path.headers["Location"]
        assert by_body.headers["Forget-Request-Existing"] == "true"
        answer = client.get("/recommend", params={"user_id": user_id}).json()
        assert answer["fallback_reason"] == "suppressed", user_id
    assert len(subjects_of_requests(database)) == len(IDS)


def test_a_request_by_body_is_a_request(client: TestClient, database: Database) -> None:
    body = {"user_id": "user-1", "reason": "objection", "client_reference": "ticket-7"}
    accepted = client.post("/forget-requests", json=body)
    assert (accepted.status_code, accepted.json()["client_reference"]) == (202, "ticket-7")
    assert client.get(accepted.headers["Location"]).json()["status"] == "queued"
    assert "Forget-Request-Existing" not in accepted.headers
    assert subjects_of_requests(database) == [subject_of("user-1")]
    assert client.get("/runs").json()["runs"][0]["status"] == "queued"


def test_spellings_of_one_id_are_one_user(client: TestClient, database: Database) -> None:
    spellings = ["Zoë", unicodedata.normalize("NFD", "Zoë"), "  Zoë ", "\N{NO-BREAK SPACE}Zoë"]
    requests = {
        client.post("/forget-requests", json={"user_id": spelled}).json()["id"] for spelled in spellings
    }
    requests |= {client.post(in_path(spelled)).json()["id"] for spelled in spellings}
    assert len(requests) == 1
    assert len(subjects_of_requests(database)) == 1


def test_a_bad_id_is_a_422_everywhere_and_is_not_quoted(client: TestClient, database: Database) -> None:
    event = {"user_id": "somebody", "item_id": "i1", "timestamp": 1}
    for bad in BAD:
        for response in (
            client.post(in_path(bad)),
            client.post("/forget-requests", json={"user_id": bad}),
            client.get("/recommend", params={"user_id": bad}),
            client.post("/interactions", json={"interactions": [event | {"user_id": bad}]}),
            client.post("/interactions", json={"interactions": [event | {"item_id": bad}]}),
        ):
            assert (response.status_code, response.json()["code"]) == (422, "validation-failed"), repr(bad)
            assert not bad.strip() or bad in ("nan", "NULL") or bad not in response.text
    assert subjects_of_requests(database) == []
    (error,) = client.post("/forget-requests", json={"user_id": "nan"}).json()["errors"]
    assert error == {"pointer": "/body/user_id", "code": "invalid_id", "message": "the id is missing"}


def test_an_id_that_clients_remove_from_paths_is_sent_in_the_body(
    client: TestClient, database: Database
) -> None:
    """What a client that leaves the path alone gets is in test_real_server."""
    for dots in (".", ".."):
        assert client.post(f"/users/{dots}/forget").status_code in (404, 405, 422)
        assert subject_of(dots) not in subjects_of_requests(database)
        assert client.post("/forget-requests", json={"user_id": dots}).status_code == 202
        assert subjects_of_requests(database)[-1] == subject_of(dots)


def test_what_is_left_of_a_path_without_dots_reaches_nobody(client: TestClient) -> None:
    for path in ("/forget", "/users/forget", "/users"):
        assert client.post(path).status_code in (404, 405)
    assert client.get("/runs").json() == {"runs": []}


def test_a_bad_id_of_ours_is_a_422_too(client: TestClient) -> None:
    for method, path in (
        ("GET", "/forget-requests/{}"),
        ("POST", "/forget-requests/{}/retry"),
        ("GET", "/runs/{}"),
    ):
        for bad in (
            "x", "fr_0", "a%2Fb", "a%252Fb", "%00", "%0A", f"ur_{'0' * 32}%0A", f"fr_{'0' * 32}%2F", "%FF", "ü", "",
        ):  # fmt: skip
            response = client.request(method, path.format(bad))
            assert (response.status_code, response.json()["code"]) == (422, "validation-failed"), (path, bad)


def test_bytes_that_are_no_text_are_nobodys_id(client: TestClient, database: Database) -> None:
    for target in ("/users/%FF/forget", "/users/a%C3/forget", "/users/x/forget%0A", "/users/a%0Ab/forget"):
        assert client.post(target).status_code == 422
    assert client.get("/recommend?user_id=%FF").status_code == 422
    for escaped in (rb"a\ud800", rb"\udc00a"):
        body = b'{"user_id": "' + escaped + b'"}'
        response = client.post("/forget-requests", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 422
    assert subjects_of_requests(database) == []


def test_a_body_that_is_not_utf8_is_a_400(client: TestClient) -> None:
    response = client.post(
        "/forget-requests", content=b'{"user_id": "\xff"}', headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["code"]) == (400, "bad-request")


def test_no_path_is_redirected(client: TestClient, database: Database) -> None:
    """A redirect would be to the decoded path, so to another user."""
    assert client.post("/users/%252F/forget/", follow_redirects=True).status_code == 404
    assert subjects_of_requests(database) == []


def test_an_event_says_where_it_is_wrong(client: TestClient, database: Database) -> None:
    good = {"user_id": "u", "item_id": "i1", "timestamp": 1}
    events = [good, good | {"user_id": "a\tb"}, good | {"item_id": ""}, good | {"timestamp": -1}]
    response = client.post("/interactions", json={"interactions": events})
    assert response.status_code == 422
    assert {(error["pointer"], error["code"]) for error in response.json()["errors"]} == {
        ("/body/interactions/1/user_id", "invalid_id"),
        ("/body/interactions/2/item_id", "invalid_id"),
        ("/body/interactions/3/timestamp", "invalid_time"),
    }
    assert stored_times(database) == []


def test_times_are_read_as_in_files_and_kept_in_seconds(client: TestClient, database: Database) -> None:
    given = [0, 881250949, 1_600_000_000_999, 1_700_000_000_999_999, 1_800_000_000_999_999_999]
    events = [{"user_id": "u", "item_id": "i1", "timestamp": time} for time in given]
    assert client.post("/interactions", json={"interactions": events}).json()["stored"] == 5
    assert stored_times(database) == [0, 881250949, 1_600_000_000, 1_700_000_000, 1_800_000_000]
    events = [{"user_id": "u", "item_id": "i1", "timestamp": time} for time in (1.5, "1e9", "1600000001.25")]
    assert client.post("/interactions", json={"interactions": events}).json()["stored"] == 3
    assert {1, 10**9, 1_600_000_001} <= set(stored_times(database))


def test_an_id_may_be_a_number_as_in_a_file_of_json(client: TestClient) -> None:
    events = [{"user_id": user, "item_id": "i1", "timestamp": 1} for user in ("42", 42, 42.0, 4.2e1)]
    answer = client.post("/interactions", json={"interactions": events}).json()
    assert (answer["stored"], answer["duplicates"]) == (1, 3)
    first = client.post("/forget-requests", json={"user_id": 42})
    assert first.status_code == 202
    for same in ("42", 42.0, "42.0"):
        assert client.post("/forget-requests", json={"user_id": same}).json()["id"] == first.json()["id"]


def test_values_that_are_no_id_and_no_time_are_a_422(client: TestClient) -> None:
    no_number = ["NaN", "Infinity", "-Infinity", "1e400", "true", "[]", "{}", "null"]
    # From 2**53 on a float may have lost digits.
    lossy = ["1e20", "9007199254740992.0"]
    for path, body, values in (
        (
            "/interactions",
            '{"interactions": [{"user_id": "u", "item_id": "i1", "timestamp": VALUE}]}',
            [*no_number, "1e20", str(10**20), str(2**80), "-1", '"soon"'],
        ),
        (
            "/interactions",
            '{"interactions": [{"user_id": VALUE, "item_id": "i1", "timestamp": 1}]}',
            [*no_number, *lossy, '"nan"'],
        ),
        ("/forget-requests", '{"user_id": VALUE}', [*no_number, *lossy, '"nan"']),
        ("/users/u/forget", '{"reason": VALUE}', ["NaN", "1e20", "-1", "1.5", str(2**80)]),
        ("/users/u/forget", "VALUE", ["NaN", "1e20", "-1", "1.5", str(2**80)]),
    ):
        for value in values:
            content = body.replace("VALUE", value)
            response = client.post(path, content=content, headers={"Content-Type": "application/json"})
            assert (response.status_code, response.json()["code"]) == (422, "validation-failed"), content
    assert client.get("/runs").json() == {"runs": []}


def test_item_ids_are_read_by_the_same_rule(client: TestClient) -> None:
    event = {"user_id": "u", "item_id": " i1 ", "timestamp": 1}
    answer = client.post("/interactions", json={"interactions": [event]}).json()
    assert (answer["stored"], answer["dropped_unknown_item"]) == (1, 0)
