"""Migrates a database to the current schema, and checks that a database has it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, literal, select, update
from sqlalchemy.orm import Session

import migrations
from app.db.base import Base
from app.db.errors import DatabaseError
from app.db.models import Ledger
from app.db.session import translated


class SchemaOutdated(DatabaseError):
    """LETHE_DATABASE_URL: the database is not at the current schema. Run: lethe migrate"""


class SchemaUnknown(DatabaseError):
    """LETHE_DATABASE_URL: the database is at a revision that this release does not know: it is newer, or another
    program's. Upgrade Lethe, or name another database.
    """


class SchemaDamaged(DatabaseError):
    """LETHE_DATABASE_URL: a table has no primary key: it was restored while something wrote to it, and the restore was
    not whole. Restore it again, in one transaction (docs/how-to/backup.md).
    """


def _config() -> Config:
    config = Config()
    folder = migrations.__file__
    assert folder is not None
    config.set_main_option("script_location", str(Path(folder).parent))
    return config


def migrate(engine: Engine) -> None:
    """Apply all outstanding migrations in one transaction. Several processes may call this at once.

    Raises:
        SchemaUnknown: the database is newer than this release.
        DatabaseUnavailable: the database does not answer, or the role lacks the right.
    """
    config = _config()
    with translated(engine), engine.begin() as connection:
        _refuse_unknown(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current_schema(engine: Engine) -> None:
    """Check that the database has the current schema.

    Raises:
        SchemaOutdated: a migration is missing.
        SchemaUnknown: the database is newer than this release.
        SchemaDamaged: a table has lost its primary key.
        DatabaseUnavailable: the database does not answer, or the role may not read the tables.
    """
    scripts = ScriptDirectory.from_config(_config())
    reading = engine.execution_options(read_only=True)
    with translated(engine), reading.connect() as connection:
        _refuse_unknown(connection, scripts)
        if MigrationContext.configure(connection).get_current_revision() != scripts.get_current_head():
            raise SchemaOutdated
        for table in Base.metadata.sorted_tables:
            connection.execute(select(literal(1)).select_from(table).limit(0))
        # Without its key a table takes the same row twice: two of one replica, and nobody knows whether it lives.
        keys = inspect(connection).get_multi_pk_constraint()
        keyless = {name for (_, name), key in keys.items() if not key["constrained_columns"]}
        if not keyless.isdisjoint(Base.metadata.tables):
            raise SchemaDamaged


def require_writable(engine: Engine) -> None:
    """Check that the database can be written: a process whose first write comes late finds out early.

    Raises:
        DatabaseUnavailable: the database is read-only, or the role may only read.
    """
    with translated(engine), Session(engine) as session:
        # A real write is needed: SQLite may grant the write lock and refuse the write.
        session.execute(update(Ledger).values(epoch=Ledger.epoch))
        session.rollback()


def _refuse_unknown(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if not known.issuperset(MigrationContext.configure(connection).get_current_heads()):
        raise SchemaUnknown
