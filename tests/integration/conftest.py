"""Tests of this tier run on SQLite and on PostgreSQL, or on one of them; each has a database of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from sqlalchemy import make_url

from app.audit.log import AuditLog
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.settings import Settings
from recommender import fit_adapter
from tests.integration.tiny_model import (
    FIRST_FIT,
    FirstFit,
    build_base_folder,
    install_version,
    remembering,
    tiny_settings,
)
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


@dataclass(frozen=True)
class Home:
    """A database in which a version is live, and its store. Tests get copies."""

    database_url: str
    store: Path
    digest: str


@pytest.fixture(scope="session")
def homes(
    request: pytest.FixtureRequest,
    base_folder: Path,
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str, FirstFit], Home]]:
    """The home of a database and a first fit: installing a version takes longer than most tests."""
    made: dict[tuple[str, FirstFit], Home] = {}

    def home(database: str, fit: FirstFit) -> Home:
        if (database, fit) not in made:
            folder = tmp_path_factory.mktemp("home")
            url = _new_database(request, database, folder)
            opened = Database(open_database(url, pooled=False))
            digest = install_version(tiny_settings(url, base_folder, folder), opened, fit)
            opened.dispose()
            made[database, fit] = Home(url, folder / "store", digest)
        return made[database, fit]

    yield home
    for (database, _), one in made.items():
        if database == "postgresql":
            postgres.drop(one.database_url)


def _new_database(
    request: pytest.FixtureRequest, database: str, folder: Path, home: Home | None = None
) -> str:
    """The URL of a copy of the home's database, or of one that only has a schema."""
    if database == "sqlite":
        template = (
            request.getfixturevalue("migrated_file") if home is None else make_url(home.database_url).database
        )
        shutil.copy(template, folder / "lethe.sqlite3")
        return f"sqlite:///{folder}/lethe.sqlite3"
    server: PostgresServer = request.getfixturevalue("postgres")
    url = request.getfixturevalue("migrated_template") if home is None else home.database_url
    return server.create(make_url(url).database)


@pytest.fixture
def first_fit() -> FirstFit:
    """How the version of `installed` is fitted."""
    return FIRST_FIT


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own. A version is live in it where the test, or a fixture of it, wants `installed`."""
    home = None
    if "installed" in request.fixturenames:
        home = request.getfixturevalue("homes")(request.param, request.getfixturevalue("first_fit"))
    url = _new_database(request, request.param, tmp_path, home)
    yield url
    if request.param == "postgresql":
        request.getfixturevalue("postgres").drop(url)


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
def installed(
    settings: Settings, database: Database, homes: Callable[[str, FirstFit], Home], first_fit: FirstFit
) -> str:
    """The digest of the live version."""
    home = homes(database.engine.dialect.name, first_fit)
    shutil.copytree(home.store, settings.store_url)
    return home.digest
