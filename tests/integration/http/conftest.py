"""A gateway over the tiny model, called through its ASGI interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.db import api_keys
from app.db.api_keys import Scope
from app.db.base import utc_now
from app.db.session import Database
from app.main import create_app
from app.settings import Settings


def issue_key(database: Database, name: str, *scopes: Scope) -> str:
    with database.unit_of_work() as session:
        return api_keys.issue(session, name=name, scopes=scopes, now=utc_now())


@pytest.fixture
def client(settings: Settings, database: Database, installed: str) -> Iterator[TestClient]:
    key = issue_key(database, "everything", *Scope)
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as opened:
        assert opened.app.state.gateway.engine.wait_for_version(30)  # type: ignore[attr-defined]
        yield opened
