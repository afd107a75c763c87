"""A backup of a database, and putting it back under processes that work with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sqlalchemy import Engine

from benchmarks.chaos.databases import back_up_rows


def back_up(engine: Engine) -> Callable[[], None]:
    """Take a copy of everything; calling the result puts it back.

    Connections live on, as behind the proxy of a managed database.
    """
    return _back_up_file(engine) if engine.dialect.name == "sqlite" else back_up_rows(engine)


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
