"""Runs migrations against ``LETHE_DATABASE_URL``, or against a connection handed over by the caller."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import app.db.models  # noqa: F401  (registers the tables)
from app.db.base import Base
from app.db.session import open_database
from app.settings import get_settings

# A migration that cannot get its lock quickly must give way to traffic, and one that runs away must end.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
# Any number will do, as long as every migrating process takes the same one.
ADVISORY_LOCK = 5_312_204


def migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        # Waiting for another migrating process is no reason to give up; waiting for a table's traffic is.
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


handed_over: Connection | None = context.config.attributes.get("connection")
if handed_over is not None:
    migrate(handed_over)
else:
    engine = open_database(get_settings().database_url, pooled=False)
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()
