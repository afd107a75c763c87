"""Runs migrations against ``LETHE_DATABASE_URL``, or on a connection that the caller passes."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import app.db.models  # noqa: F401  (registers the tables)
from app.db.base import Base
from app.db.session import open_database
from app.settings import get_settings

# A migration that waits too long for a lock must give way to traffic, and one that takes too long must end.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
# An arbitrary number, the same for every migrating process.
ADVISORY_LOCK = 5_312_204


def migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        # Wait for another migrating process without a limit, but not for the traffic on a table.
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
