"""A database that takes connections and says nothing: recommendations come from memory, the rest is refused soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from sqlalchemy import make_url, text

from app.api_keys import service as api_keys
from app.api_keys.authentication import Authenticator, require
from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.limits import Limits
from app.db.session import Database, open_database
from app.main import create_app
from app.recommendations.prompt_reader import PromptReader
from app.settings import Settings
from benchmarks.service.hanging_server import hanging_server
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import gateway_process
from tests.integration.http.test_hanging import wait_until
from tests.tcp_proxy import tcp_proxy

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def ask(client: httpx.Client, user: str = "user-1") -> tuple[httpx.Response, float]:
    started = time.monotonic()
    answer = client.get("/recommend", params={"user_id": user})
    return answer, time.monotonic() - started


@on_postgresql
def test_a_gateway_before_a_database_that_hangs(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> None:
    key = issue_key(database, "everything", *Scope)
    url = make_url(settings.database_url)
    assert url.host is not None
    with tcp_proxy(url.host, url.port or 5432) as proxy:
        behind = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        limits = {"LETHE_FEED_LEASE_SECONDS": "1", "LETHE_DATABASE_PROMPT_SECONDS": "0.5"}
        with (
            gateway_process(settings, key, tmp_path, LETHE_DATABASE_URL=behind, **limits) as gateway,
            gateway.client() as client,
        ):
            wait_until(lambda: ask(client)[0].json()["personalised"])
            proxy.hang()
            hung_at = time.monotonic()
            waits = []
            # Past the lease of the feed, and past the time for which a key needs no second look.
            while time.monotonic() < hung_at + 8:
                answer, seconds = ask(client)
                assert answer.status_code == 200
                waits.append(seconds)
                time.sleep(0.02)
            assert answer.json()["fallback_reason"] == "stale_feed"
            # Whoever met it first waited, once; everybody else did not.
            assert sum(wait > 0.4 for wait in waits) <= 2
            assert max(waits) < 2
            for refused in (
                lambda: client.post("/users/user-2/forget"),
                lambda: client.get("/runs"),
                lambda: client.get(
                    "/recommend?user_id=u", headers={"Authorization": f"Bearer lethe_{'0' * 64}"}
                ),
            ):
                started = time.monotonic()
                assert refused().status_code == 503
                assert time.monotonic() - started < 6
            proxy.go_on()
            wait_until(lambda: ask(client)[0].json()["personalised"])
            # A key is looked up again a little later than the feed, and then everything works.
            wait_until(lambda: client.post("/users/user-2/forget").status_code == 202)


@on_postgresql
def test_a_lock_on_the_events_holds_up_no_recommendation(
    settings: Settings, database: Database, installed: str
) -> None:
    key = issue_key(database, "everything", *Scope)
    prompt = settings.model_copy(update={"database_prompt_seconds": 0.5})
    with (
        TestClient(create_app(prompt), headers={"Authorization": f"Bearer {key}"}) as client,
        database.engine.connect() as locking,
    ):
        wait_until(lambda: bool(ask(client)[0].json()["personalised"]))
        locking.execute(text("LOCK TABLE interactions IN ACCESS EXCLUSIVE MODE"))
        # Whose history is in memory goes on, and nobody else waits for the lock.
        assert ask(client)[0].json()["personalised"]
        answers = [ask(client, "user-2") for _ in range(20)]
        assert {answer.json()["fallback_reason"] for answer, _ in answers} == {"no_history"}
        assert sum(seconds > 0.4 for _, seconds in answers) == 1
        locking.rollback()
        wait_until(lambda: bool(ask(client)[0].json()["personalised"]))


@pytest.fixture
def silent_database() -> Iterator[Database]:
    with hanging_server() as server:
        limits = Limits(connect_seconds=2, checkout_seconds=0.2)
        silent = Database(open_database(f"postgresql://lethe@127.0.0.1:{server.port}/lethe", limits=limits))
        yield silent
        silent.dispose()


def test_a_known_key_outlives_the_database_for_what_is_answered_from_memory(
    database: Database, silent_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.unit_of_work() as session:
        now = database_now(session)
        brief = api_keys.issue(
            session, name="brief", scopes=[*Scope], now=now, expires_at=now + timedelta(minutes=10)
        )
    lasting = issue_key(database, "lasting", *Scope)
    reader = PromptReader(database, 30)
    authenticator = Authenticator(reader, lease_seconds=7200)
    for key in (brief, lasting):
        assert authenticator.caller(key)
    reader._database, reader._seconds = silent_database, 0.1
    after = 0.0
    monkeypatch.setattr(
        "app.api_keys.authentication.time", SimpleNamespace(monotonic=lambda: time.monotonic() + after)
    )

    def known(key: str) -> bool:
        try:
            caller = authenticator.caller(key)
        except DatabaseUnavailable:
            return False
        # Which is not enough for what needs the database.
        assert caller is not None
        assert not caller.confirmed
        return True

    after = 300.0
    assert known(brief)
    assert not known("lethe_other")
    asked = {
        "type": "http", "method": "GET", "headers": [(b"authorization", f"Bearer {lasting}".encode())],
        "app": SimpleNamespace(state=SimpleNamespace(authenticator=authenticator)),
    }  # fmt: skip
    for scope in (Scope.RECOMMEND, Scope.METRICS_READ):
        assert asyncio.run(require(scope)(Request({**asked, "state": {}}))).name == "lasting"
    with pytest.raises(DatabaseUnavailable):
        asyncio.run(require(Scope.FORGET_CREATE)(Request({**asked, "state": {}})))
    after = 3600.0
    assert not known(brief)
    assert known(lasting)
    after = 7300.0
    assert not known(lasting)
    reader.close()


def test_a_revoked_key_stops_while_the_database_answers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = issue_key(database, "revoked", *Scope)
    reader = PromptReader(database, 30)
    authenticator = Authenticator(reader, lease_seconds=7200)
    assert authenticator.caller(key)
    with database.unit_of_work() as session:
        assert api_keys.revoke(session, name="revoked", now=database_now(session))
    monkeypatch.setattr("app.api_keys.authentication.REVALIDATE_SECONDS", 0.0)
    assert authenticator.caller(key) is None
    reader.close()


@on_postgresql
def test_a_statement_is_given_up_once_nothing_comes_and_the_next_one_works(database_url: str) -> None:
    limits = Limits(silence_seconds=0.5)
    brief = Database(open_database(database_url, limits=limits))
    with pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.5 seconds"), brief.read() as session:
        session.execute(text("SELECT pg_sleep(20)"))
    with brief.read() as session:
        # As long as something comes it may take its time.
        rows = session.execute(text("SELECT repeat('x', 8000), pg_sleep(0.005) FROM generate_series(1, 200)"))
        assert len(rows.all()) == 200
    brief.dispose()
