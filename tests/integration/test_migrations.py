"""The migrations and the models describe the same schema, and applying them is safe to repeat."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import app.db.models  # noqa: F401  (registers the tables)
from app.db.base import Base
from app.db.schema import migrate, require_current_schema
from app.db.session import open_database
from tests.postgres_server import PostgresServer

REPOSITORY = Path(__file__).parents[2]


def test_what_the_migrations_build_is_what_the_models_say(database_url: str) -> None:
    engine = open_database(database_url, pooled=False)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    engine.dispose()


def test_there_is_one_line_of_revisions() -> None:
    script = ScriptDirectory.from_config(Config(toml_file=REPOSITORY / "pyproject.toml"))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_migrating_again_changes_nothing(database_url: str) -> None:
    engine = open_database(database_url, pooled=False)
    with engine.connect() as connection:
        before = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    migrate(engine)
    require_current_schema(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == before
    engine.dispose()


def test_several_processes_may_migrate_an_empty_database_at_once(postgres: PostgresServer) -> None:
    url = postgres.create()
    environment = os.environ | {"LETHE_ENVIRONMENT": "development", "LETHE_DATABASE_URL": url}
    command = [sys.executable, "-m", "cli.main", "migrate"]
    try:
        running = [subprocess.Popen(command, cwd=REPOSITORY, env=environment) for _ in range(3)]
        assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
        engine = open_database(url, pooled=False)
        require_current_schema(engine)
        engine.dispose()
    finally:
        postgres.drop(url)
