"""Bringing a database to the current schema, and saying clearly when it is not there."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

import migrations
from app.db.errors import DatabaseError
from app.db.session import translated


class SchemaOutdated(DatabaseError):
    """The database is not at the current schema. Run: lethe migrate"""


def _config() -> Config:
    config = Config()
    folder = migrations.__file__
    assert folder is not None
    config.set_main_option("script_location", str(Path(folder).parent))
    return config


def migrate(engine: Engine) -> None:
    """Apply every outstanding migration in one transaction; safe to call from several processes at once.

    Raises:
        DatabaseUnavailable: nobody answers.
    """
    config = _config()
    with translated(), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current_schema(engine: Engine) -> None:
    """
    Raises:
        SchemaOutdated: a migration is missing, or the database is newer than this release.
        DatabaseUnavailable: nobody answers.
    """
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with translated(), engine.connect() as connection:
        if MigrationContext.configure(connection).get_current_revision() != head:
            raise SchemaOutdated
