"""R-9: an end user acts on their own requests only. R-46: a token with a role is as good as a key with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.db.models import AuditEntry, ForgetRequest
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.integration.http.conftest import gateway_of
from tests.tokens import AUDIENCE, ISSUER, Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def client(settings: Settings, installed: str, issuer: Issuer) -> Iterator[TestClient]:
    provider = {
        "oidc_issuer": ISSUER,
        "oidc_audience": AUDIENCE,
        "oidc_jwks": str(issuer.file),
        "oidc_roles": {"ops": "operator", "shop": "service"},
    }
    with TestClient(create_app(settings.model_copy(update=provider))) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened


def by(issuer: Issuer, sub: str, *roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issuer.token(sub, roles=list(roles))}"}


def test_r9_an_end_user_asks_for_themselves(client: TestClient, issuer: Issuer, database: Database) -> None:
    mine = by(issuer, "user-1")
    asked = client.post("/users/user-1/forget", headers=mine)
    assert asked.status_code == 202
    in_body = client.post("/forget-requests", headers=mine, json={"user_id": "user-1"})
    assert in_body.json()["id"] == asked.json()["id"]
    found = client.get(asked.headers["Location"], headers=mine)
    assert (found.status_code, found.json()["attempts"]) == (200, [])
    with database.read() as session:
        names = [
            *session.scalars(select(ForgetRequest.requested_by)),
            *session.scalars(select(AuditEntry.actor)),
        ]
    assert any(name.startswith("oidc:") for name in names)
    assert not any("user-1" in name for name in names)


def test_r9_another_user_is_out_of_reach_and_not_told_about(client: TestClient, issuer: Issuer) -> None:
    theirs = client.post("/users/user-2/forget", headers=by(issuer, "crm", "shop")).json()["id"]
    mine = by(issuer, "user-1")
    for user in ("user-2", "user-3", "nobody"):
        for refused in (
            client.post(f"/users/{user}/forget", headers=mine),
            client.post("/forget-requests", headers=mine, json={"user_id": user}),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "not-requester")
    hidden = client.get(f"/forget-requests/{theirs}", headers=mine)
    absent = client.get(f"/forget-requests/fr_{'0' * 32}", headers=mine)
    documents = [{**answer.json(), "request_id": None} for answer in (hidden, absent)]
    assert (hidden.status_code, documents[0]) == (404, documents[1])
    assert client.get("/recommend", params={"user_id": "user-3"}, headers=by(issuer, "x", "shop")).json()[
        "personalised"
    ]


def test_r46_a_role_in_a_token_opens_what_it_opens_for_a_key(client: TestClient, issuer: Issuer) -> None:
    assert client.get("/runs", headers=by(issuer, "erika", "ops")).status_code == 200
    assert client.get("/runs", headers=by(issuer, "erika", "shop")).status_code == 403
    assert client.get("/runs", headers=by(issuer, "erika")).status_code == 403
    late = {"Authorization": f"Bearer {issuer.token('erika', roles=['ops'], exp=1)}"}
    assert client.get("/runs", headers=late).status_code == 401


def test_r46_without_the_issuers_keys_it_is_a_503_and_keys_work(client: TestClient, issuer: Issuer) -> None:
    headers = by(issuer, "erika", "ops")
    issuer.file.unlink()
    refused = client.get("/runs", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (503, "identity-provider-unavailable")
    refused = client.post("/users/user-1/forget", headers=headers, json={})
    assert refused.status_code == 503
    assert client.get("/runs", headers={"Authorization": f"Bearer lethe_{'0' * 64}"}).status_code == 401
