"""A backup of a database, and putting it back under processes that work with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import Engine

from benchmarks.chaos.databases import back_up_rows


def back_up(engine: Engine) -> Callable[[], None]:
    """Take a copy of everything; calling the result puts it back.

    Connections live on, as behind the proxy of a managed database.
    """
    return _back_up_file(engine) if engine.dialect.name == "sqlite" else back_up_rows(engine)


def _back_up_file(engine: Engine) -> Callable[[], None]:
    path = engine.url.database
    assert path is not None
    # In memory, so that a later backup does not replace this one. Services may be restored from another thread.
    kept = sqlite3.connect(":memory:", check_same_thread=False)
    with closing(sqlite3.connect(path)) as source:
        source.backup(kept)

    def put_back() -> None:
        with closing(sqlite3.connect(path)) as target:
            kept.backup(target)

    return put_back
