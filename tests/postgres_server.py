"""Databases for tests: each gets its own, made and dropped here."""

from __future__ import annotations

import uuid
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from tests.services import postgres_url

# Each holds eight megabytes of a disk.
_MOST_WAITING = 16


class PostgresServer:
    """Creates and drops databases of its own; never touches one it has not made.

    To drop one, the server writes out what it holds of all others, which takes longer than most tests: no test waits
    for that.
    """

    def __init__(self) -> None:
        self._admin = create_engine(
            make_url(postgres_url()).set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
        )
        self._dropper = ThreadPoolExecutor(1, thread_name_prefix="drops databases")
        self._drops: deque[Future[None]] = deque()

    def create(self, template: str | None = None) -> str:
        """The URL of a new database."""
        name = f"lethe_test_{uuid.uuid4().hex}"
        copied = f' TEMPLATE "{template}"' if template else ""
        with self._admin.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"{copied}'))
        url = self._admin.url.set(drivername="postgresql", database=name)
        return url.render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop it soon, with whoever is still connected."""
        self._drops.append(self._dropper.submit(self._drop, url))
        while len(self._drops) > _MOST_WAITING:
            self._drops.popleft().result()

    def close(self) -> None:
        """Wait until all are dropped that should be; raises what went wrong with one."""
        self._dropper.shutdown()
        for drop in self._drops:
            drop.result()

    def _drop(self, url: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)'))
