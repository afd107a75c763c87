"""Histories that a gateway keeps in memory: gone at once with a suppression, a selection or an import of its own."""

from __future__ import annotations

import asyncio
import time

import pytest
from fastapi.testclient import TestClient

from app.api_keys import service as api_keys
from app.api_keys.authentication import REVALIDATE_SECONDS, Authenticator
from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.session import Database
from app.recommendations.prompt_reader import PromptReader
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.tiny_model import subject_of

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def kept(client: TestClient, user: str) -> bool:
    return subject_of(user) in gateway_of(client).histories.cache._kept


def ask(client: TestClient, user: str) -> list[str]:
    answer = client.get("/recommend", params={"user_id": user, "k": 24})
    return [item["item_id"] for item in answer.json()["items"]]


def test_nothing_is_kept_of_somebody_who_has_asked_to_be_forgotten(client: TestClient) -> None:
    for user in ("user-1", "user-2"):
        ask(client, user)
    assert kept(client, "user-1")
    assert client.post("/users/user-1/forget").status_code == 202
    assert not kept(client, "user-1")
    assert kept(client, "user-2")
    ask(client, "user-1")
    assert not kept(client, "user-1")


def test_nothing_is_kept_of_somebody_whom_the_engine_is_told_to_suppress(client: TestClient) -> None:
    """By the feed, too: it purges the subject's answers, and the history goes with these."""
    ask(client, "user-1")
    gateway_of(client).engine.suppress(1, subject_of("user-1"))
    assert not kept(client, "user-1")


def test_what_a_user_has_just_done_counts_in_the_next_answer(client: TestClient) -> None:
    liked = ask(client, "user-1")[0]
    event = {"user_id": "user-1", "item_id": liked, "timestamp": 2_000_000_000}
    assert client.post("/interactions", json={"interactions": [event]}).json()["stored"] == 1
    assert liked not in ask(client, "user-1")


def test_what_a_user_has_had_forgotten_does_not_count_in_the_next_answer(client: TestClient) -> None:
    assert "i5" not in ask(client, "user-1")
    assert kept(client, "user-1")
    assert client.post("/users/user-1/forget", json={"interactions": {"items": ["i5"]}}).status_code == 202
    # It is an item that they have not met.
    assert "i5" in ask(client, "user-1")


def test_a_known_key_is_looked_up_again_before_its_time_is_over_and_nobody_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = issue_key(database, "caller", *Scope)
    reader = PromptReader(database, 30)
    authenticator = Authenticator(reader, lease_seconds=7200)
    looked: list[str] = []
    real = Authenticator._look

    def look(self: Authenticator, key: str) -> object:
        looked.append(key)
        return real(self, key)

    monkeypatch.setattr(Authenticator, "_look", look)

    async def use() -> None:
        assert await authenticator.identify(key)
        assert await authenticator.identify(key)
        assert len(looked) == 1
        await asyncio.sleep(0.6 * REVALIDATE_SECONDS)
        # Both are answered from memory, and one look goes on behind them.
        assert await authenticator.identify(key)
        assert await authenticator.identify(key)
        await asyncio.gather(*authenticator._looked_up_ahead.values())
        assert len(looked) == 2
        assert not authenticator._looked_up_ahead
        with database.unit_of_work() as session:
            assert api_keys.revoke(session, name="caller", now=database_now(session))
        revoked = time.monotonic()
        while await authenticator.identify(key):
            assert time.monotonic() - revoked < 20 * REVALIDATE_SECONDS
            await asyncio.sleep(0.05)

    asyncio.run(use())
    reader.close()
