"""A gateway over the tiny model, called through its ASGI interface."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.api_keys import service as api_keys
from app.api_keys.service import Scope
from app.db.base import utc_now
from app.db.session import Database, open_database
from app.gateway import Gateway
from app.main import create_app
from app.settings import Settings
from tests.integration.tiny_model import install_version, tiny_settings


def issue_key(database: Database, name: str, *scopes: Scope) -> str:
    with database.unit_of_work() as session:
        return api_keys.issue(session, name=name, scopes=scopes, now=utc_now())


def install_on_sqlite(migrated_file: Path, base_folder: Path, folder: Path) -> tuple[Settings, str]:
    """The tiny model live in a database of its own, for a gateway of many tests: its settings, and a key to it all."""
    shutil.copy(migrated_file, folder / "lethe.sqlite3")
    settings = tiny_settings(f"sqlite:///{folder}/lethe.sqlite3", base_folder, folder)
    database = Database(open_database(settings.database_url))
    install_version(settings, database)
    key = issue_key(database, "everything", *Scope)
    database.dispose()
    return settings, key


def gateway_of(client: TestClient) -> Gateway:
    """What answers this client, in this process."""
    gateway: Gateway = client.app.state.gateway  # type: ignore[attr-defined]  # Starlette types it as any ASGI app
    return gateway


@pytest.fixture
def client(settings: Settings, database: Database, installed: str) -> Iterator[TestClient]:
    key = issue_key(database, "everything", *Scope)
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened
