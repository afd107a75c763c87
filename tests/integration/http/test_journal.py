"""The journal of a gateway while its store is away, and no worker there to make up for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.settings import Settings
from model_store import StoreUnavailable, open_store
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
    store = client.app.state.gateway.store  # type: ignore[attr-defined]
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
    assert all(client.get("/readyz", headers=stranger).status_code == 200 for _ in range(40))
    assert len(asked) <= 2 + time.monotonic() - started
