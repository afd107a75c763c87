"""A backup of a database, and putting it back under processes that work with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sqlalchemy import Engine, text

from app.db.base import Base


def back_up(engine: Engine) -> Callable[[], None]:
    """Take a copy of everything; calling the result puts it back.

    Connections live on, as behind the proxy of a managed database.
    """
    return _back_up_file(engine) if engine.dialect.name == "sqlite" else _back_up_rows(engine)


def _back_up_file(engine: Engine) -> Callable[[], None]:
    assert engine.url.database is not None
    path = engine.url.database
    copy = path + ".backup"
    _copy(path, copy)
    return lambda: _copy(copy, path)


def _copy(source: str, target: str) -> None:
    read, write = sqlite3.connect(source), sqlite3.connect(target)
    try:
        read.backup(write)
    finally:
        read.close()
        write.close()


def _back_up_rows(engine: Engine) -> Callable[[], None]:
    tables = Base.metadata.sorted_tables
    with engine.connect() as connection:
        rows = {table: [dict(row._mapping) for row in connection.execute(table.select())] for table in tables}

    def put_back() -> None:
        with engine.begin() as connection:
            # As a restore does: no trigger objects to what the dump says.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for table in tables:
                connection.execute(table.delete())
                if rows[table]:
                    connection.execute(table.insert(), rows[table])

    return put_back
