"""Webhooks from the registration to a receiver's check of the signature, over real HTTPS (R-42, R-43)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from standardwebhooks import Webhook

from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.models import AuditEntry, WebhookEndpoint
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.tiny_model import subject_of
from tests.receivers import Received, Receiver, receiver

KEY = "a webhook key of thirty-two bytes"
NOBODY = "0" * 32


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver(names=("localhost",)) as opened:
        opened.authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        # What the system trusts.
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        opened.answering = answer_challenge
        yield opened


@pytest.fixture
def telling(
    settings: Settings, database: Database, installed: str, running: Receiver
) -> Iterator[TestClient]:
    """A gateway that may send webhooks to this machine."""
    key = issue_key(database, "everything", *Scope)
    nearby = {"environment": "development", "allow_private_webhooks": True, "webhook_key": KEY}
    allowed = Settings.model_validate(settings.model_dump() | nearby)
    with TestClient(create_app(allowed), headers={"Authorization": f"Bearer {key}"}) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened


def answer_challenge(received: Received) -> tuple[int, Mapping[str, str], bytes]:
    message = json.loads(received.body)
    if message["type"] == "webhook.challenge":
        return 200, {}, json.dumps(message["data"]).encode()
    return 204, {}, b""


def register(client: TestClient, url: str, *events: str, name: str = "crm") -> dict[str, Any]:
    answer = client.post("/webhook-endpoints", json={"name": name, "url": url, "events": events})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/webhook-endpoints/{answer.json()['id']}"
    return answer.json()  # type: ignore[no-any-return]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state_of(client: TestClient, endpoint: str) -> str:
    return client.get(f"/webhook-endpoints/{endpoint}").json()["state"]  # type: ignore[no-any-return]


def names(received: list[Received]) -> list[str]:
    return [json.loads(one.body)["type"] for one in received]


def test_a_receiver_learns_of_a_request_and_can_check_who_says_it(
    telling: TestClient, running: Receiver
) -> None:
    endpoint = register(telling, running.url(host="localhost"), "forget.accepted", "suppression.active")
    assert endpoint["state"] == "pending"
    until(lambda: state_of(telling, endpoint["id"]) == "active")
    request = telling.post("/users/user-1/forget", json={"client_reference": "T-9"}).json()
    received = running.wait_for(lambda found: len(found) >= 3)
    assert names(received) == ["webhook.challenge", "forget.accepted", "suppression.active"]
    for one in received:
        headers = {name.lower(): value for name, value in one.headers.items()}
        message = Webhook(endpoint["secret"]).verify(one.body, headers)
        assert not {"user-1", subject_of("user-1")} & set(json.dumps(message).split('"'))
    assert message["data"]["request_id"] == request["id"]
    assert message["data"]["client_reference"] == "T-9"
    assert headers["webhook-id"] == f"evt_{message['sequence']}"
    # The secret is not shown again, and the log says what has become of each message.
    listed = telling.get("/webhook-endpoints").text + telling.get(f"/webhook-endpoints/{endpoint['id']}").text
    assert "secret" not in listed
    until(lambda: len(delivered(telling)) == 3)
    assert {one["last_code"] for one in delivered(telling)} == {"delivered"}
    assert {one["due_at"] for one in delivered(telling)} == {None}


def delivered(client: TestClient, state: str = "delivered") -> list[dict[str, Any]]:
    log = client.get("/webhook-deliveries", params={"state": state})
    return log.json()["deliveries"]  # type: ignore[no-any-return]


def test_what_has_arrived_is_sent_again_when_somebody_asks(telling: TestClient, running: Receiver) -> None:
    endpoint = register(telling, running.url(host="localhost"), "forget.accepted")
    telling.post("/users/user-1/forget")
    running.wait_for(lambda found: len(found) == 2)
    until(lambda: len(delivered(telling)) == 2)
    [event] = [one for one in delivered(telling) if one["sequence"]]
    again = telling.post(f"/webhook-deliveries/{event['id']}/redeliver")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    running.wait_for(lambda found: len(found) == 3)
    body = {"first": 1, "last": 2**53 - 1}
    replayed = telling.post(f"/webhook-endpoints/{endpoint['id']}/replay", json=body)
    assert (replayed.status_code, replayed.json()) == (202, {"events": 1})
    received = running.wait_for(lambda found: len(found) == 4)
    # The same message, so that a receiver can tell.
    assert len({one.headers["webhook-id"] for one in received[1:]}) == 1
    [challenge] = [one for one in delivered(telling) if not one["sequence"]]
    refused = telling.post(f"/webhook-deliveries/{challenge['id']}/redeliver")
    assert (refused.status_code, refused.json()["code"]) == (409, "event-not-kept")


def test_an_endpoint_that_is_gone_or_has_failed_for_days_is_disabled_and_what_it_answers_is_shown_nowhere(
    telling: TestClient, running: Receiver, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    word = "quetzal"

    def refuse(received: Received) -> tuple[int, Mapping[str, str], bytes]:
        if received.path == "/deaf":
            return 200, {}, word.encode()
        if json.loads(received.body)["type"] == "webhook.challenge":
            return answer_challenge(received)
        return (410 if received.path == "/gone" else 500), {"X-Word": word}, word.encode()

    running.answering = refuse
    gone = register(telling, running.url("/gone", host="localhost"), "forget.accepted", name="gone")
    failing = register(telling, running.url("/failing", host="localhost"), "forget.accepted", name="failing")
    deaf = register(telling, running.url("/deaf", host="localhost"), name="deaf")
    until(lambda: {state_of(telling, one["id"]) for one in (gone, failing)} == {"active"})
    with database.unit_of_work() as session:
        days_ago = database_now(session) - timedelta(days=3)
        session.execute(
            update(WebhookEndpoint).where(WebhookEndpoint.id == failing["id"]).values(failing_since=days_ago)
        )
    telling.post("/users/user-1/forget")
    until(lambda: {state_of(telling, one["id"]) for one in (gone, failing)} == {"disabled"})
    listed = telling.get("/webhook-endpoints")
    reasons = {one["name"]: one["disabled_reason"] for one in listed.json()["endpoints"]}
    assert reasons == {"gone": "gone", "failing": "failing", "deaf": None}
    assert state_of(telling, deaf["id"]) == "pending"
    log = telling.get("/webhook-deliveries", params={"endpoint": deaf["id"]})
    assert [one["last_code"] for one in log.json()["deliveries"]] == ["challenge_failed"]
    with database.read() as session:
        disabled = session.scalars(
            select(AuditEntry.data).where(AuditEntry.action == "webhook.disabled")
        ).all()
    assert {entry["reason"] for entry in disabled} == {"gone", "failing"}
    everything = listed.text + telling.get("/webhook-deliveries").text + "".join(capfd.readouterr())
    assert word not in everything
    # Another challenge, and it is told what it has missed.
    running.answering = answer_challenge
    assert telling.post(f"/webhook-endpoints/{gone['id']}/challenge").status_code == 202
    until(lambda: state_of(telling, gone["id"]) == "active")


def test_endpoints_are_managed_by_those_who_may(
    telling: TestClient, running: Receiver, database: Database
) -> None:
    endpoint = register(telling, running.url(host="localhost"))
    taken = telling.post("/webhook-endpoints", json={"name": "crm", "url": running.url(host="localhost")})
    assert (taken.status_code, taken.json()["code"]) == (409, "name-taken")
    for url, code in (
        ("https://user@localhost/", "url_not_plain"),
        ("https://169.254.169.254/latest/meta-data", "not_a_host_name"),
        ("http://hooks.example.com/", "not_https"),
    ):
        refused = telling.post("/webhook-endpoints", json={"name": "other", "url": url})
        assert refused.status_code == 422
        assert [(one["pointer"], one["code"]) for one in refused.json()["errors"]] == [("/body/url", code)]
        assert url not in refused.text
    unknown = telling.post(
        "/webhook-endpoints", json={"name": "x", "url": "https://a.example/", "events": ["x"]}
    )
    assert unknown.status_code == 422
    until(lambda: state_of(telling, endpoint["id"]) == "active")
    active = telling.post(f"/webhook-endpoints/{endpoint['id']}/challenge")
    assert (active.status_code, active.json()["status_now"]) == (409, "active")
    assert telling.delete(f"/webhook-endpoints/{endpoint['id']}").status_code == 204
    for answer in (
        telling.get(f"/webhook-endpoints/{endpoint['id']}"),
        telling.delete(f"/webhook-endpoints/{endpoint['id']}"),
        telling.post(f"/webhook-endpoints/we_{NOBODY}/challenge"),
        telling.post(f"/webhook-endpoints/we_{NOBODY}/replay", json={"first": 1, "last": 2}),
        telling.post(f"/webhook-deliveries/wd_{NOBODY}/redeliver"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    other = {"Authorization": f"Bearer {issue_key(database, 'other', Scope.EVENTS_READ)}"}
    assert telling.get("/webhook-endpoints", headers=other).status_code == 403


def test_without_a_key_of_its_own_nothing_is_registered(client: TestClient) -> None:
    body = {"name": "crm", "url": "https://hooks.example.com/"}
    answer = client.post("/webhook-endpoints", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "webhooks-off")
