"""R-46: every route with every role, at a running gateway, against the table in `access_table.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.api_keys.roles import SCOPES_OF, Role
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.integration.http.access_table import ALLOWED, STREAMS
from tests.integration.http.conftest import issue_key
from tests.routes import routes_of
from tests.tokens import AUDIENCE, ISSUER, Issuer

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# A value of the form that each parameter of a path has. Nothing of that name exists.
PARAMETERS = {
    "action": "cancel",
    "batch_id": "fb_" + "0" * 32,
    "delivery_id": "wd_" + "0" * 32,
    "endpoint_id": "we_" + "0" * 32,
    "digest": "0" * 64,
    "kind": "acceptance",
    "name": "caches",
    "request_id": "fr_" + "0" * 32,
    "run_id": "ur_" + "0" * 32,
    "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
    "user_id": "somebody",
    "item_id": "something",
}
ANONYMOUS = "nobody"


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def gateway(settings: Settings, issuer: Issuer) -> Iterator[TestClient]:
    provider = {
        "oidc_issuer": ISSUER,
        "oidc_audience": AUDIENCE,
        "oidc_jwks": str(issuer.file),
        "rate_limit_users": "",
    }
    with TestClient(create_app(settings.model_copy(update=provider))) as opened:
        yield opened


def status_of(client: TestClient, route: str, headers: dict[str, str]) -> int:
    method, template = route.split(" ")
    path = re.sub(r"{(\w+)}", lambda found: PARAMETERS[found[1]], template)
    return client.request(method, path, headers=headers, follow_redirects=False).status_code


def test_r46_every_route_is_in_the_table(settings: Settings) -> None:
    app = create_app(settings)
    routes = {f"{method} {route.path_format}" for route in routes_of(app) for method in route.methods}
    assert routes == ALLOWED.keys()


def test_r46_every_route_lets_the_roles_of_the_table_through(
    gateway: TestClient, database: Database, issuer: Issuer
) -> None:
    headers = {
        str(role): {"Authorization": f"Bearer {issue_key(database, role, *SCOPES_OF[role])}"} for role in Role
    }
    headers["user"] = {"Authorization": f"Bearer {issuer.token(PARAMETERS['user_id'])}"}
    wrong = []
    for route, allowed in ALLOWED.items():
        for role, sent in [*headers.items(), (ANONYMOUS, {})]:
            expected = allowed == "everybody" or role in allowed.split()
            if allowed == "session" or (route in STREAMS and expected):
                continue
            status = status_of(gateway, route, sent)
            # The dashboard sends whoever is nobody to the log-in.
            refusals = (401, 303) if role == ANONYMOUS else (403,)
            if (status not in refusals) != expected:
                wrong.append(f"{role}: {route} answers {status}")
    assert wrong == []
