"""Tests of this tier run on SQLite and on PostgreSQL, or on one of them; each has a database of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import make_url

from app.audit.log import AuditLog
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.settings import Settings
from recommender import fit_adapter
from tests.integration.tiny_model import build_base_folder, install_version, remembering, tiny_settings
from tests.postgres_server import PostgresServer
from unlearning.methods.shared import fitting

# structlog's default prints the values of all variables, which takes seconds for one exception of a fit.
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

_FIT = remembering(fit_adapter)
AUDIT_KEY = b"an audit key for tests, 32 bytes"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database that nothing was written to since it was migrated."""
    file = tmp_path_factory.mktemp("migrated") / "lethe.sqlite3"
    engine = open_database(f"sqlite:///{file}", pooled=False)
    migrate(engine)
    engine.dispose()
    return file


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.create()
    engine = open_database(url, pooled=False)
    migrate(engine)
    engine.dispose()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "lethe.sqlite3")
        yield f"sqlite:///{tmp_path}/lethe.sqlite3"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    template = make_url(request.getfixturevalue("migrated_template")).database
    url = server.create(template)
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(open_database(database_url))
    yield opened
    opened.dispose()


@pytest.fixture
def audit() -> AuditLog:
    return AuditLog(AUDIT_KEY)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def _each_fit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of many tests fit the same people."""
    monkeypatch.setattr(fitting, "fit_adapter", _FIT)


@pytest.fixture
def settings(database_url: str, base_folder: Path, tmp_path: Path) -> Settings:
    return tiny_settings(database_url, base_folder, tmp_path)


@pytest.fixture
def installed(settings: Settings, database: Database) -> str:
    """The digest of the live version."""
    return install_version(settings, database)
