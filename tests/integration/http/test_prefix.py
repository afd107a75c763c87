"""Behind a proxy that shows the service under a prefix, and strips it or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.api_keys.service import Scope
from app.db.session import Database
from app.main import create_app
from app.settings import ROUTES, Settings
from tests.integration.http.conftest import gateway_of, issue_key

PREFIX = "/privacy/lethe"


@pytest.fixture
def prefixed(settings: Settings, database: Database, installed: str) -> Iterator[TestClient]:
    key = issue_key(database, "everything", *Scope)
    below = Settings(_env_file=None, **settings.model_dump() | {"root_path": PREFIX})  # type: ignore[arg-type]
    with TestClient(create_app(below), headers={"Authorization": f"Bearer {key}"}) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened


@pytest.mark.parametrize("stripped", [True, False])
def test_every_link_leads_back_below_the_prefix(prefixed: TestClient, stripped: bool) -> None:
    base = "" if stripped else PREFIX

    def follow(link: str) -> str:
        assert link.startswith(f"{PREFIX}/")
        return base + link.removeprefix(PREFIX)

    accepted = prefixed.post(f"{base}/users/a%2Fb/forget")
    assert accepted.status_code == 202
    location = accepted.headers["Location"]
    assert prefixed.get(follow(location)).json()["id"] == accepted.json()["id"]
    run = prefixed.post(f"{base}/consolidations")
    assert prefixed.get(follow(run.headers["Location"])).json()["id"] == run.json()["id"]
    assert prefixed.get(f"{base}/recommend", params={"user_id": "user-1"}).json()["personalised"]
    page = prefixed.get(f"{base}/")
    assert f'href="{PREFIX}/static/dashboard.css"' in page.text
    assert prefixed.get(follow(f"{PREFIX}/static/dashboard.css")).status_code == 200
    assert f"url: '{PREFIX}/openapi.json'" in prefixed.get(f"{base}/docs").text.replace('"', "'")
    openapi = prefixed.get(f"{base}/openapi.json").json()
    assert openapi["servers"] == [{"url": PREFIX}]
    assert "/users/{user_id}/forget" in openapi["paths"]
    assert 'route="/users/{user_id}/forget"' in prefixed.get(f"{base}/metrics").text
    assert prefixed.get(f"{base}/runs/x").status_code == 422
    assert prefixed.get(f"{base}/nothing").status_code == 404


def test_a_path_that_only_begins_like_the_prefix_is_not_below_it(prefixed: TestClient) -> None:
    assert prefixed.get(f"{PREFIX}x/runs").status_code == 404


def test_a_prefix_that_reads_like_a_route_is_refused(settings: Settings, client: TestClient) -> None:
    """With one, nobody could tell a path whose prefix was stripped from one whose was not."""
    paths = [
        *client.get("/openapi.json").json()["paths"],
        "/docs",
        "/openapi.json",
        "/static",
        "/dashboard",
        "/login",
    ]
    assert {path.split("/")[1] for path in paths} - {""} == ROUTES
    with pytest.raises(ValueError, match="the service has routes of that name"):
        Settings(_env_file=None, **settings.model_dump() | {"root_path": "/users/x"})  # type: ignore[arg-type]


def test_head_is_get_without_the_body(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/runs", "/static/dashboard.css", "/docs"):
        got, asked = client.get(path), client.head(path)
        assert (asked.status_code, asked.content) == (got.status_code, b"") == (200, b"")
        for name in ("content-type", "content-length"):
            assert asked.headers[name] == got.headers[name]


def test_head_needs_what_get_needs(client: TestClient) -> None:
    assert client.head("/runs", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.head("/users/user-1/forget").status_code == 405
    assert 'method="HEAD",route="/runs",status="401"' in client.get("/metrics").text
