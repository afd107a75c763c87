"""POST /forget-requests/{id}/verify: an end user asks, and a service that has reached them says so (R-9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.integration.http.conftest import gateway_of
from tests.tokens import AUDIENCE, ISSUER, Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def client(settings: Settings, installed: str, issuer: Issuer) -> Iterator[TestClient]:
    changed = {
        "request_policy": "strict",
        "oidc_issuer": ISSUER,
        "oidc_audience": AUDIENCE,
        "oidc_jwks": str(issuer.file),
        "oidc_roles": {"shop": "service", "dpo": "approver", "ops": "operator"},
    }
    with TestClient(create_app(settings.model_copy(update=changed))) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened


def test_r9_an_end_users_request_waits_and_begins_with_its_verification(
    client: TestClient, issuer: Issuer
) -> None:
    def by(name: str, *roles: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.token(name, roles=list(roles))}"}

    def personalised() -> bool:
        asked = client.get("/recommend", params={"user_id": "user-1"}, headers=by("crm", "shop"))
        return bool(asked.json()["personalised"])

    mine, portal = by("user-1"), by("portal", "shop")
    answer = client.post("/users/user-1/forget", headers=mine)
    request = answer.json()
    assert (answer.status_code, request["status"]) == (202, "pending_verification")
    assert (request["suppression_epoch"], request["receipts"]["acceptance"]) == (None, None)
    assert request["verify_until"]
    assert "POST …/verify" in request["waits_for"]
    path = answer.headers["Location"]
    receipt = client.get(f"{path}/receipts/acceptance", headers=portal)
    assert (receipt.status_code, receipt.json()["code"]) == (409, "not-verified")
    assert personalised()
    assert list(gateway_of(client).store.journal()) == []

    body = {"method": "telephone"}
    assert client.post(f"{path}/verify", headers=mine, json=body).status_code == 403
    assert client.post(f"{path}/verify", headers=by("erika", "ops"), json=body).status_code == 403
    assert (
        client.post(f"{path}/verify", headers=portal, json={"method": "user-1@example.com"}).status_code
        == 422
    )
    verified = client.post(f"{path}/verify", headers=portal, json=body)
    assert (verified.status_code, verified.json()["status"]) == (200, "pending_approval")
    assert not personalised()
    again = client.post(f"{path}/verify", headers=portal, json=body)
    assert (again.status_code, again.json()["code"]) == (409, "illegal-transition")
    assert client.get(f"{path}/receipts/acceptance", headers=portal).status_code == 200

    # What a service sends needs no verification.
    assert client.post("/users/user-2/forget", headers=portal).json()["status"] == "pending_approval"
