"""A new database on a PostgreSQL server, for one benchmark."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from benchmarks.service.errors import ServiceUnmeasurable

LOCAL_SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"


def kind_of(database: str) -> str:
    """What a result says of it: ``sqlite`` or ``postgresql``. No address is published."""
    return database if database == "sqlite" else "postgresql"


@contextmanager
def chosen_database(database: str) -> Iterator[str | None]:
    """The URL of a new database; None for SQLite, whose file is the installation's own.

    Args:
        database: ``sqlite``, ``postgresql`` (the server on this machine), or the URL of a PostgreSQL server.

    Raises:
        ServiceUnmeasurable: see `own_database`.
    """
    if database == "sqlite":
        yield None
        return
    with own_database(LOCAL_SERVER if database == "postgresql" else database) as url:
        yield url


@contextmanager
def own_database(server: str) -> Iterator[str]:
    """The URL of a new database, which is dropped at the end. No other database is touched.

    Args:
        server: the URL of any database on the server; its role must be allowed to create databases.

    Raises:
        ServiceUnmeasurable: no PostgreSQL server answers, or it refuses to create the database.
    """
    name = f"lethe_bench_{uuid.uuid4().hex}"
    try:
        url = make_url(server).set(drivername="postgresql+psycopg")
        admin = create_engine(
            url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 5}
        )
        with admin.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    except (ArgumentError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise ServiceUnmeasurable(f"--database: cannot create a database there: {reason}") from error
    try:
        yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
