"""R-46: limits at a running gateway, and that nobody is locked out by others."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from app.api_keys.rate_limits import CallerLimits
from app.api_keys.service import PREFIX, Scope
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.integration.http.conftest import issue_key
from tests.services import redis_url


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    limits = {"rate_limit": "3/hour", "failed_logins": "3/hour"}
    with TestClient(create_app(settings.model_copy(update=limits))) as opened:
        yield opened


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_r46_one_request_too_many_is_a_429(client: TestClient, database: Database) -> None:
    mine, theirs = (bearer(issue_key(database, name, *Scope)) for name in ("mine", "theirs"))
    assert [client.get("/runs", headers=mine).status_code for _ in range(3)] == [200] * 3
    refused = client.post("/users/user-1/forget", headers=mine)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert client.get("/runs", headers=theirs).status_code == 200
    for _ in range(5):
        assert client.get("/recommend", params={"user_id": "user-1"}, headers=mine).status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_r46_an_attacker_locks_nobody_out(client: TestClient, database: Database) -> None:
    known, fresh = (bearer(issue_key(database, name, *Scope)) for name in ("known", "fresh"))
    assert client.get("/runs", headers=known).status_code == 200
    guesses = [client.get("/runs", headers=bearer(f"{PREFIX}{number:064x}")) for number in range(5)]
    assert [guess.status_code for guess in guesses] == [401, 401, 401, 429, 429]
    assert (guesses[-1].json()["code"], client.get("/runs").status_code) == ("too-many-failures", 401)
    assert guesses[-1].headers["Retry-After"]
    with_body = client.post("/users/user-1/forget", headers=bearer("anything"), json={})
    assert with_body.status_code == 429
    for headers in (known, fresh):
        assert client.get("/runs", headers=headers).status_code == 200


def test_r46_gateways_count_together_in_redis() -> None:
    # Another database than the one that other tests empty.
    url = make_url(redis_url()).set(database="14").render_as_string(hide_password=False)
    name = uuid.uuid4().hex

    async def ask() -> list[bool]:
        limits = [CallerLimits("2/minute", "", url) for _ in range(3)]
        found = [await one.take(name, end_user=False) is None for one in limits]
        for one in limits:
            await one.close()
        return found

    assert asyncio.run(ask()) == [True, True, False]
