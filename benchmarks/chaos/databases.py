"""The databases of the installations under attack: copied, restored and failed over by the database's own means."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from app.db.base import Base


class Installed(Protocol):
    """The database of one installation, used without any code of the product."""

    name: str
    url: str

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows that a query of the checker returns."""

    def back_up(self) -> Callable[[], None]:
        """Copy the whole database. Calling the result restores the copy while services may be connected."""

    def hang(self, seconds: float) -> None:
        """Block all writes for so many seconds."""

    def drop(self) -> None:
        """Remove the database."""


class SqliteInstalled:
    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path, self.url = path, f"sqlite:///{path}"

    def rows(self, query: str) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.path, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()

    def back_up(self) -> Callable[[], None]:
        copy = self.path.with_suffix(".backup")
        copy_sqlite(self.path, copy)
        return lambda: copy_sqlite(copy, self.path)

    def hang(self, seconds: float) -> None:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def drop(self) -> None:
        """Do nothing: the file is deleted with the installation's folder."""


def back_up_rows(engine: Engine) -> Callable[[], None]:
    """Take a copy of all rows; calling the result puts it back under whoever is connected."""
    tables = Base.metadata.sorted_tables
    with engine.connect() as connection:
        rows = {
            table: [dict(row) for row in connection.execute(table.select()).mappings()] for table in tables
        }

    def put_back() -> None:
        with engine.begin() as connection:
            # As a restore does: triggers must not refuse the rows of the backup.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for table in tables:
                connection.execute(table.delete())
                if rows[table]:
                    connection.execute(table.insert(), rows[table])

    return put_back


class PostgresqlInstalled:
    name = "postgresql"

    def __init__(self, server: str, database: str) -> None:
        url = make_url(server).set(drivername="postgresql+psycopg")
        self._server = _engine(url.render_as_string(hide_password=False), autocommit=True)
        self.database = database
        self.url = url.set(drivername="postgresql", database=database).render_as_string(hide_password=False)
        own = url.set(database=database).render_as_string(hide_password=False)
        self._own, self._autocommit = _engine(own), _engine(own, autocommit=True)

    def create(self, template: PostgresqlInstalled | None = None) -> None:
        """Create the database, empty or as a copy of the template. Nobody may be connected to the template."""
        suffix = f' TEMPLATE "{template.database}"' if template else ""
        with self._server.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{self.database}"{suffix}'))

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self._own.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def back_up(self) -> Callable[[], None]:
        return back_up_rows(self._own)

    def terminate_connections(self) -> None:
        with self._server.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
                {"name": self.database},
            )

    def lagging_copy(self) -> Callable[[], None]:
        """Make a standby that receives no later changes. Calling the result makes the standby take over."""
        standby = f"{self.database}_standby"
        with self._shut() as connection:
            connection.execute(text(f'CREATE DATABASE "{standby}" TEMPLATE "{self.database}"'))

        def take_over() -> None:
            with self._shut() as connection:
                connection.execute(text(f'ALTER DATABASE "{self.database}" RENAME TO "{standby}_before"'))
                connection.execute(text(f'ALTER DATABASE "{standby}" RENAME TO "{self.database}"'))
            with self._server.connect() as connection:
                connection.execute(text(f'DROP DATABASE IF EXISTS "{standby}_before" WITH (FORCE)'))

        return take_over

    def hang(self, seconds: float) -> None:
        with self._own.begin() as connection:
            connection.execute(text("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE"))
            time.sleep(seconds)

    def drop(self) -> None:
        with self._server.connect() as connection:
            for name in (self.database, f"{self.database}_standby", f"{self.database}_standby_before"):
                connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    @contextmanager
    def _shut(self) -> Iterator[Any]:
        """Close all connections to the database and allow no new ones while the block lasts."""
        with self._server.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS false'))
            try:
                self.terminate_connections()
                yield connection
            finally:
                with suppress(SQLAlchemyError):
                    connection.execute(text(f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS true'))


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database while others use it, including changes that are still in its write-ahead log."""
    read, write = sqlite3.connect(source, timeout=30), sqlite3.connect(target, timeout=30)
    try:
        read.backup(write)
    finally:
        read.close()
        write.close()


def _engine(url: str, *, autocommit: bool = False) -> Engine:
    options = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    return create_engine(url, poolclass=NullPool, **options)
