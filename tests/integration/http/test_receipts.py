"""Receipts and the log's checkpoints, as a requester and an auditor get them over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import select, text, update

from app.api_keys.service import Scope
from app.audit import merkle
from app.db.models import Attempt, AuditEntry, Receipt
from app.db.session import Database
from app.failures import SettingError
from app.main import create_app
from app.receipts.claims import token_digest
from app.receipts.verification import ReceiptInvalid, require_acceptance, require_subject, verify
from app.settings import Settings
from app.signing.from_settings import signer_of
from app.signing.keys import PublicKeys
from tests.integration.http.conftest import issue_key
from tests.integration.tiny_model import subject_of
from tests.integration.worker.observing import execute_waiting
from worker.process import open_process


def forget(client: TestClient, user: str) -> dict[str, Any]:
    """The request, and with it the salt of the answer's header."""
    answer = client.post(f"/users/{user}/forget")
    assert answer.status_code in (200, 202)
    return {**answer.json(), "receipt_salt": answer.headers["Lethe-Receipt-Salt"]}


def serve(settings: Settings) -> None:
    """Execute the run that waits."""
    execute_waiting(open_process(settings))


def keys_of(client: TestClient) -> PublicKeys:
    answer = client.get("/.well-known/jwks.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert "max-age" in answer.headers["cache-control"]
    return PublicKeys.of_jwks(answer.json())


def receipt(client: TestClient, request: dict[str, Any], kind: str) -> str:
    answer = client.get(f"/forget-requests/{request['id']}/receipts/{kind}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jwt"
    return answer.text


@pytest.fixture
def completed(client: TestClient, settings: Settings) -> list[dict[str, Any]]:
    """Two requests that one run has served: a user of the model, and somebody unknown."""
    asked = [forget(client, "user-1"), forget(client, "nobody-knows")]
    serve(settings)
    return asked


def test_a_requester_verifies_what_was_accepted_and_what_was_done(
    client: TestClient, completed: list[dict[str, Any]], database: Database
) -> None:
    """R-37: both receipts, against the published keys alone."""
    keys, request = keys_of(client), completed[0]
    accepted, done = (receipt(client, request, kind) for kind in ("acceptance", "completion"))
    first, last = verify(accepted, keys), verify(done, keys)
    require_acceptance(last, accepted, keys)
    for verified in (first, last):
        require_subject(verified, request["receipt_salt"], "user-1")
        assert verified.claims["not_recorded"] == []
        assert verified.claims["iss"] == "lethe"
    assert first.claims["suppression_epoch"] == request["suppression_epoch"]
    assert _moments(first.claims["received_at"], first.claims["due_at"]) == _moments(
        request["received_at"], request["due_at"]
    )
    detail = client.get(f"/forget-requests/{request['id']}").json()
    assert detail["receipts"]["completion"].endswith("/receipts/completion")
    claims = last.claims
    assert claims["outcome"] == detail["outcome"] == "erased"
    assert claims["parts"] == {part["name"]: part["state"] for part in detail["parts"]}
    assert [attempt["method"] for attempt in claims["attempts"]] == [
        one["method"] for one in detail["attempts"]
    ]
    assert [attempt["serves"] for attempt in claims["attempts"]][-1]
    assert all(attempt["measures"] for attempt in claims["attempts"])
    assert claims["replicas_acknowledged"]["replicas"] == 1
    assert claims["replicas_acknowledged"]["version"] == claims["version"]
    assert claims["parent_version"] in [each["version"] for each in claims["destroyed_versions"]]
    assert claims["code"].startswith("lethe 0.1.0 sources ")
    assert claims["acceptance_receipt"] == token_digest(accepted)
    with database.read() as session:
        attempt = session.scalars(select(Attempt).order_by(Attempt.id)).first()
        assert attempt is not None
        assert claims["policy_hash"] == attempt.policy_hash


def test_the_receipts_of_somebody_unknown_say_that_no_model_was_edited(
    client: TestClient, completed: list[dict[str, Any]]
) -> None:
    last = verify(receipt(client, completed[1], "completion"), keys_of(client))
    assert last.claims["outcome"] == "no_data"
    assert "no model was edited" in last.claims["statement"]
    require_subject(last, completed[1]["receipt_salt"], "nobody-knows")
    with pytest.raises(ReceiptInvalid, match="somebody else"):
        require_subject(last, completed[0]["receipt_salt"], "nobody-knows")
    with pytest.raises(ReceiptInvalid, match="somebody else"):
        require_subject(last, completed[1]["receipt_salt"], "user-1")


def test_receipts_hold_neither_ids_nor_subjects_nor_salts(
    client: TestClient, completed: list[dict[str, Any]], database: Database
) -> None:
    """I8, also for the log that anybody with audit:read can copy."""
    keys = keys_of(client)
    told = [
        json.dumps(dict(verify(receipt(client, request, kind), keys).claims))
        for request in completed
        for kind in ("acceptance", "completion")
    ]
    told.append(client.get("/audit/entries", params={"limit": 1000}).text)
    for content in told:
        for request, user in zip(completed, ("user-1", "nobody-knows"), strict=True):
            assert user not in content
            assert subject_of(user) not in content
            assert request["receipt_salt"] not in content
    assert "receipt_salt" not in client.get(f"/forget-requests/{completed[0]['id']}").json()


def test_two_readers_have_the_same_bytes_whatever_happens_in_between(
    client: TestClient, completed: list[dict[str, Any]], settings: Settings, database: Database
) -> None:
    request = completed[0]
    before = [receipt(client, request, kind) for kind in ("completion", "acceptance")]
    forget(client, "user-7")
    key = issue_key(database, "after the rotation", *Scope)
    old = signer_of(settings).public.text
    rotated = settings.model_copy(update={"signing_key": SecretStr("7b" * 32), "former_signers": old})
    with TestClient(create_app(rotated), headers={"Authorization": f"Bearer {key}"}) as other:
        keys = keys_of(other)
        assert [receipt(other, request, kind) for kind in ("completion", "acceptance")] == before
        # Both keys are published, and the new one signs what is new.
        assert [each["x"] for each in keys.jwks["keys"]][1] == old
        verify(before[0], keys)
        assert keys.verified_note(other.get("/audit/checkpoint").text).size > 0


def test_a_receipt_that_nobody_could_verify_any_more_is_issued_again(
    client: TestClient, completed: list[dict[str, Any]], database: Database
) -> None:
    before = receipt(client, completed[0], "acceptance")
    with database.unit_of_work() as session:
        session.execute(update(Receipt).values(token=before[:-10] + "AAAAAAAAAA"))
    again = receipt(client, completed[0], "acceptance")
    verify(again, keys_of(client))
    assert again != before[:-10] + "AAAAAAAAAA"


def test_there_is_no_receipt_of_what_was_not_done(client: TestClient) -> None:
    request = forget(client, "user-3")
    assert request["receipts"]["completion"] is None
    answer = client.get(f"/forget-requests/{request['id']}/receipts/completion")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-completed")
    unknown = client.get(f"/forget-requests/fr_{'0' * 32}/receipts/acceptance")
    assert unknown.status_code == 404


def test_a_repeat_is_told_the_same_salt(client: TestClient) -> None:
    """Whoever lost the answer asks again."""
    assert forget(client, "user-3")["receipt_salt"] == forget(client, "user-3")["receipt_salt"]
    assert forget(client, "user-3")["receipt_salt"] != forget(client, "user-4")["receipt_salt"]


@pytest.mark.parametrize("changed", ["an entry", "an attempt"])
def test_nothing_is_signed_that_the_log_does_not_vouch_for(
    client: TestClient, completed: list[dict[str, Any]], database: Database, changed: str
) -> None:
    """Somebody who can write to the database cannot have the gateway sign what they wrote."""
    with database.engine.begin() as connection:
        if changed == "an attempt":
            connection.execute(update(Attempt).values(verdict={"decision": "pass"}))
        else:
            if connection.dialect.name == "postgresql":
                connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
            else:
                connection.execute(text("DROP TRIGGER audit_entries_refuse_update"))
            connection.execute(
                update(AuditEntry).where(AuditEntry.action == "forget.completed").values(actor="somebody")
            )
    answer = client.get(f"/forget-requests/{completed[0]['id']}/receipts/completion")
    assert (answer.status_code, answer.json()["code"]) == (409, "log-contradicted")


def test_an_auditor_follows_the_log_with_checkpoints_alone(client: TestClient) -> None:
    """R-39: inclusion of every entry, and consistency from every earlier checkpoint."""
    keys = keys_of(client)
    heads = []
    for user in ("user-1", "user-2", "user-3"):
        forget(client, user)
        heads.append(keys.verified_note(client.get("/audit/checkpoint").text))
    last = heads[-1]
    entries = client.get("/audit/entries", params={"after": 1}).json()
    assert entries["size"] == last.size
    assert [entry["sequence"] for entry in entries["entries"]] == list(range(2, last.size + 1))
    for entry in entries["entries"]:
        assert merkle.leaf_hash(entry["leaf"].encode()).hex() == entry["leaf_hash"]
        found = client.get("/audit/proof/inclusion", params={"entry": entry["sequence"]}).json()
        proof = [bytes.fromhex(each) for each in found["proof"]]
        leaf = bytes.fromhex(entry["leaf_hash"])
        assert merkle.verify_inclusion(leaf, found["index"], last.size, proof, last.root)
    for head in heads:
        found = client.get("/audit/proof/consistency", params={"first": head.size}).json()
        proof = [bytes.fromhex(each) for each in found["proof"]]
        assert merkle.verify_consistency(head.size, last.size, head.root, last.root, proof)
        assert found["second_root"] == last.root.hex()


@pytest.mark.parametrize(
    "target",
    [
        "/audit/proof/inclusion?entry=99999",
        "/audit/proof/inclusion?entry=2&size=1",
        "/audit/proof/consistency?first=99999",
        "/audit/proof/consistency?first=2&second=1",
    ],
)
def test_there_are_no_proofs_beyond_the_log(client: TestClient, target: str) -> None:
    answer = client.get(target)
    assert (answer.status_code, answer.json()["code"]) == (404, "beyond-the-log")


def test_a_gateway_in_production_wants_a_key_to_sign_with(settings: Settings) -> None:
    placeholder = Settings.model_fields["signing_key"].default
    with pytest.raises(SettingError, match="LETHE_SIGNING_KEY must be 64 hexadecimal digits"):
        signer_of(settings.model_copy(update={"signing_key": placeholder}))


def _moments(*texts: str) -> list[str]:
    return [each.replace("Z", "+00:00") for each in texts]
