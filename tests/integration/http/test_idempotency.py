"""R-10, R-11: the same request with the same key has one effect and one answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import Request, Response
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.models import ForgetRequest, KeptAnswer
from app.db.session import Database
from app.errors import Problem
from app.idempotency import service as kept_answers
from app.idempotency.fingerprints import KeyedRequest
from app.idempotency.once import OnceRequest
from app.settings import Settings
from tests.integration.http.conftest import gateway_of, issue_key
from worker.sweeper import sweep

pytestmark = pytest.mark.both_databases
KEY = {"Idempotency-Key": "a-key/of:the.client"}
FORGET = "/users/user-1/forget"


def kept(database: Database) -> list[KeptAnswer]:
    with database.read() as session:
        return list(session.scalars(select(KeptAnswer)))


def once_of(client: TestClient, key: str = "another") -> OnceRequest:
    """A request as the dependency makes it, for work that no route does."""
    gateway = gateway_of(client)
    keyed = KeyedRequest(
        gateway.subject_key, principal="p", route="POST /somewhere", key=key, target="/somewhere?", body=b""
    )
    return OnceRequest(gateway, Request({"type": "http"}), keyed)


def _key_of_the_answer(client: TestClient) -> str:
    (answer,) = kept(gateway_of(client).database)
    return answer.key_mac


def test_r11_the_answer_is_replayed_byte_by_byte(client: TestClient) -> None:
    first = client.post(FORGET, headers=KEY, json={"reason": "objection", "client_reference": "t-1"})
    same = b'{ "client_reference":"t-1",\n"reason" : "objection"}'
    again = client.post(FORGET, headers=KEY | {"Content-Type": "application/json"}, content=same)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    # Another repeat is on its way: this one need not wait for it.
    in_flight = gateway_of(client).keys_in_flight
    assert not in_flight
    in_flight.add(_key_of_the_answer(client))
    third = client.post(FORGET, headers=KEY | {"Content-Type": "application/json"}, content=same)
    assert (third.status_code, third.content) == (202, first.content)
    other = client.post(FORGET, headers=KEY, json={"reason": "other"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    for name in ("Location", "Retry-After", "Content-Type", "Content-Length"):
        assert again.headers[name] == first.headers[name]
    assert "Forget-Request-Existing" not in again.headers


def test_r11_a_key_that_was_sent_with_another_request_is_refused(
    client: TestClient, database: Database
) -> None:
    client.post(FORGET, headers=KEY)
    for path, body in (("/users/user-2/forget", None), (FORGET, {"reason": "objection"})):
        refused = client.post(path, headers=KEY, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-reused")
    with database.read() as session:
        assert len(session.scalars(select(ForgetRequest)).all()) == 1


def test_r10_a_key_belongs_to_one_caller_and_one_route(client: TestClient, database: Database) -> None:
    first = client.post(FORGET, headers=KEY)
    elsewhere = client.post("/forget-requests", headers=KEY, json={"user_id": "user-2"})
    other = issue_key(database, "other", Scope.FORGET_CREATE)
    anothers = client.post(FORGET, headers=KEY | {"Authorization": f"Bearer {other}"})
    assert [answer.status_code for answer in (first, elsewhere, anothers)] == [202, 202, 202]
    assert "Idempotent-Replayed" not in elsewhere.headers | anothers.headers
    assert anothers.headers["Forget-Request-Existing"] == "true"
    assert len(kept(database)) == 3


def test_r11_a_refusal_is_an_answer_too(client: TestClient) -> None:
    request = client.post(FORGET).json()["id"]
    path = f"/forget-requests/{request}/retry"
    refused, again = client.post(path, headers=KEY), client.post(path, headers=KEY)
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal-transition")
    assert again.content == refused.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Content-Type"] == "application/problem+json"


def test_a_replay_needs_the_scope_still(client: TestClient, database: Database) -> None:
    key = issue_key(database, "narrow", Scope.FORGET_CREATE)
    mine = KEY | {"Authorization": f"Bearer {key}"}
    request = client.post(FORGET, headers=mine).json()["id"]
    assert client.post(f"/forget-requests/{request}/retry", headers=mine).status_code == 403


def test_r11_what_failed_is_not_kept(client: TestClient, database: Database) -> None:
    once = once_of(client)

    def fail() -> Response:
        raise Problem(503, "overloaded", "Later.")  # type: ignore[arg-type]

    with pytest.raises(Problem, match="overloaded"):
        client.portal.call(once.write, fail)  # type: ignore[union-attr]
    assert kept(database) == []
    answer = client.portal.call(once.write, lambda: once.keep_alone(Response("{}")))  # type: ignore[union-attr]
    assert answer.status_code == 200
    assert len(kept(database)) == 1


def test_r11_a_crash_leaves_neither_the_effect_nor_the_answer(client: TestClient, database: Database) -> None:
    once = once_of(client)

    def crash() -> Response:
        with once.transaction() as transaction:
            transaction.ledger.consolidation_budget = {"changed": True}
            once.keep(transaction, Response("{}"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert kept(database) == []


def test_r11_a_request_in_flight_here_is_a_409(client: TestClient) -> None:
    once = once_of(client)
    assert once.keyed is not None
    gateway_of(client).keys_in_flight.add(once.keyed.key_mac)
    with pytest.raises(Problem) as refused:
        client.portal.call(once.write, Response)  # type: ignore[union-attr]
    assert (refused.value.status, refused.value.slug) == (409, "idempotency-in-flight")
    assert refused.value.headers["Retry-After"]


def test_r11_a_request_in_flight_at_another_gateway_is_a_409(client: TestClient, database: Database) -> None:
    if database.engine.dialect.name == "sqlite":
        # It has one writer at a time: the second request waits, and finds the answer of the first.
        return
    once = once_of(client)
    assert once.keyed is not None

    def work() -> Response:
        with once.transaction() as transaction:
            return once.keep(transaction, Response("{}"))

    with database.unit_of_work() as session:
        kept_answers.claim(session, once.keyed.key_mac)
        with pytest.raises(Problem, match="idempotency-in-flight"):
            client.portal.call(once.write, work)  # type: ignore[union-attr]
    assert client.portal.call(once.write, work).status_code == 200  # type: ignore[union-attr]


def test_r10_an_answer_is_kept_for_seven_days(
    client: TestClient, database: Database, settings: Settings
) -> None:
    first = client.post(FORGET, headers=KEY)
    with database.unit_of_work() as session:
        left = session.scalars(select(KeptAnswer)).one().expires_at - database_now(session)
        assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
        session.execute(update(KeptAnswer).values(expires_at=database_now(session)))
    again = client.post(FORGET, headers=KEY)
    assert "Idempotent-Replayed" not in again.headers
    assert again.json()["id"] == first.json()["id"]
    assert len(kept(database)) == 1
    with database.unit_of_work() as session:
        session.execute(update(KeptAnswer).values(expires_at=database_now(session)))
    sweep(database, settings)
    assert kept(database) == []


def test_r8_what_is_kept_names_no_user(client: TestClient, database: Database) -> None:
    client.post("/users/erika-mustermann/forget", headers={"Idempotency-Key": "forget-erika-mustermann"})
    client.post(
        "/forget-requests",
        headers={"Idempotency-Key": "erika-mustermann"},
        json={"user_id": "erika-mustermann"},
    )
    rows = kept(database)
    assert len(rows) == 2
    for row in rows:
        assert "erika" not in f"{row.key_mac}{row.fingerprint}{row.headers}{row.body}"


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "é"])
def test_r10_a_key_is_1_to_255_visible_characters(client: TestClient, key: str) -> None:
    answer = client.post(FORGET, headers=[("Idempotency-Key", key.encode())])
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")


def test_imports_and_consolidations_take_a_key(client: TestClient) -> None:
    body = {"interactions": [{"user_id": "newcomer", "item_id": "i1", "timestamp": 1}]}
    imports = [client.post("/interactions", headers=KEY, json=body) for _ in range(2)]
    assert imports[1].content == imports[0].content
    assert imports[1].json()["stored"] == 1
    refits = [client.post("/consolidations", headers=KEY) for _ in range(2)]
    assert refits[1].content == refits[0].content
    assert refits[0].status_code in (202, 409)
