"""What a gateway does by itself while something is away: its journal, and what strangers ask meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.probe import Probe
from app.settings import Settings
from model_store import StoreHealth, StoreUnavailable, open_store
from tests.integration.http.conftest import gateway_of
from tests.integration.refusing_store import gone

SECONDS = 20


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_whoever_was_accepted_while_the_store_was_away_is_in_the_journal_once_it_is_back(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = gateway_of(client).store
    real, refused = store.append_journal, []

    def notice(entry: object) -> None:
        try:
            real(entry)
        except StoreUnavailable:
            refused.append(entry)
            raise

    monkeypatch.setattr(store, "append_journal", notice)
    with gone(Path(settings.store_url)):
        for user in ("user-1", "user-2"):
            assert client.post(f"/users/{user}/forget").status_code == 202
        wait_until(lambda: bool(refused))
    wait_until(lambda: len(open_store(settings.store_url).journal_epochs()) == 2)


def test_readiness_does_not_write_into_the_store_each_time_and_still_notices_that_it_refuses(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = gateway_of(client).store
    real, asked = store.check, []

    def check() -> StoreHealth:
        asked.append(1)
        return real()

    monkeypatch.setattr(store, "check", check)
    assert all(client.get("/readyz").json()["store"] for _ in range(30))
    assert len(asked) <= 2  # the second if this takes long

    def ready() -> bool:
        return bool(client.get("/readyz").json()["store"])

    with gone(Path(settings.store_url)):
        assert client.post("/users/user-1/forget").status_code == 202
        wait_until(lambda: not ready())
    wait_until(ready)


def test_whoever_asks_for_readiness_without_a_pause_keeps_nobody_from_writing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may ask; the database's answer takes the lock that every request to be forgotten waits for."""
    asked: list[int] = []

    def write(_engine: object) -> None:
        asked.append(1)

    monkeypatch.setattr("app.gateway.require_writable", write)
    started = time.monotonic()
    stranger = {"Authorization": ""}
    assert all(client.get("/readyz", headers=stranger).status_code == 200 for _ in range(100))
    assert len(asked) <= 4 * (2 + time.monotonic() - started)


def test_strangers_who_ask_for_readiness_while_the_database_hangs_take_no_thread_from_callers(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    gateway = gateway_of(client)
    monkeypatch.setattr("app.health.endpoints._PROBE_SECONDS", float(SECONDS))
    monkeypatch.setattr(gateway, "database_answers", Probe("test", lambda: hangs.wait(10 * SECONDS)))
    with ThreadPoolExecutor(61) as pool:
        try:
            asked = [pool.submit(client.get, "/readyz", headers={"Authorization": ""}) for _ in range(60)]
            wait_until(lambda: gateway.database_answers._asking is not None)
            # More than the server has threads for requests; give them the time to take these.
            wait_until(lambda: all(future.running() for future in asked))
            answer = pool.submit(client.get, "/recommend", params={"user_id": "user-1"})
            assert answer.result(SECONDS / 2).status_code == 200
        finally:
            hangs.set()
