"""Decisions about requests over HTTP: who may, when, and what the caller is told (R-17 to R-20, R-47)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.api_keys.service import Scope
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.integration.http.conftest import gateway_of, issue_key

REVIEW = "2099-01-01T00:00:00+00:00"


@pytest.fixture
def strict(settings: Settings, database: Database, installed: str) -> Iterator[TestClient]:
    """A gateway under the strict policy, called with the key "everything"."""
    key = issue_key(database, "everything", *Scope)
    strictly = settings.model_copy(update={"request_policy": "strict"})
    with TestClient(create_app(strictly), headers={"Authorization": f"Bearer {key}"}) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened


def by(database: Database, name: str, *scopes: Scope) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_key(database, name, *scopes)}"}


def personalised(client: TestClient) -> bool:
    return bool(client.get("/recommend", params={"user_id": "user-1"}).json()["personalised"])


def test_r47_under_the_strict_policy_a_request_waits_for_a_second_person_and_its_window(
    strict: TestClient, database: Database
) -> None:
    request = strict.post("/users/user-1/forget").json()
    assert (request["status"], request["done"]) == ("pending_approval", False)
    assert not personalised(strict)
    own = strict.post(f"/forget-requests/{request['id']}/approve")
    assert (own.status_code, own.json()["code"]) == (403, "second-person-required")
    officer = by(database, "officer", Scope.FORGET_APPROVE)
    approved = strict.post(f"/forget-requests/{request['id']}/approve", headers=officer).json()
    assert (approved["status"], approved["waits_for"]) == ("scheduled", "the end of its cancel window")
    assert approved["cancel_until"]
    again = strict.post(f"/forget-requests/{request['id']}/approve", headers=officer)
    assert (again.status_code, again.json()["status_now"]) == (409, "scheduled")
    assert again.json()["allowed"] == ["cancel", "deny", "expedite", "extend", "hold"]


def test_r17_cancelling_brings_the_person_back_at_once_and_writes_the_journal(
    strict: TestClient, database: Database
) -> None:
    request = strict.post("/users/user-1/forget").json()
    stranger = by(database, "stranger", Scope.FORGET_CREATE)
    refused = strict.post(f"/forget-requests/{request['id']}/cancel", headers=stranger)
    assert (refused.status_code, refused.json()["code"]) == (403, "not-requester")
    answer = strict.post(f"/forget-requests/{request['id']}/cancel", json={"reason": "sent_by_mistake"})
    assert (answer.json()["status"], answer.json()["outcome"], answer.json()["done"]) == (
        "cancelled",
        "cancelled",
        True,
    )
    gateway = gateway_of(strict)
    while gateway.engine.suppressed():
        gateway.engine.poke()
    assert personalised(strict)
    while len(entries := list(gateway.store.journal())) < 2:
        pass
    assert [entry.lifted for entry in entries] == [None, "cancelled"]
    # The answer to a repeat of the former request is a new one.
    assert strict.post("/users/user-1/forget").json()["id"] != request["id"]
    assert not personalised(strict)


def test_r19_hold_extend_and_deny_say_what_they_need(strict: TestClient, database: Database) -> None:
    path = f"/forget-requests/{strict.post('/users/user-1/forget').json()['id']}"
    late = strict.post(f"{path}/hold", json={"reason": "legal_claims", "review_at": "2001-01-01T00:00:00Z"})
    assert (late.status_code, late.json()["code"]) == (409, "review-in-the-past")
    held = strict.post(f"{path}/hold", json={"reason": "legal_claims", "review_at": REVIEW}).json()
    assert (held["status"], held["actions"]) == ("on_hold", ["cancel", "deny", "extend", "release"])
    assert strict.post(f"{path}/extend", json={"reason": "complexity"}).status_code == 422
    extended = strict.post(f"{path}/extend", json={"reason": "complexity", "subject_told": True}).json()
    assert extended["due_at"] > held["due_at"]
    twice = strict.post(f"{path}/extend", json={"reason": "complexity", "subject_told": True})
    assert (twice.status_code, twice.json()["code"]) == (409, "not-extendable")
    proposed = strict.post(f"{path}/deny", json={"reason": "no_match"}).json()
    assert (proposed["status"], proposed["denial_proposed"]) == ("on_hold", True)
    counsel = by(database, "counsel", Scope.FORGET_DENY)
    denied = strict.post(f"{path}/deny", json={"reason": "no_match"}, headers=counsel).json()
    assert (denied["status"], denied["outcome"], denied["actions"]) == ("denied", "denied", [])


@pytest.mark.parametrize(
    "action", ["approve", "cancel", "deny", "expedite", "extend", "hold", "readmit", "release", "retry"]
)
def test_r46_no_action_without_its_scope_and_none_on_what_does_not_exist(
    client: TestClient, database: Database, action: str
) -> None:
    body = {
        "deny": {"reason": "no_match"},
        "expedite": {"reason": "deadline"},
        "extend": {"reason": "complexity", "subject_told": True},
        "hold": {"reason": "other", "review_at": REVIEW},
        "readmit": {"reason": "new_consent"},
    }.get(action)
    path = f"/forget-requests/fr_{'0' * 32}/{action}"
    without = by(database, "without", Scope.RECOMMEND)
    assert client.post(path, json=body, headers=without).json()["code"] == "missing-scope"
    assert client.post(path, json=body).status_code == 404
