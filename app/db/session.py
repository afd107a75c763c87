"""Engines and transactions. One `unit_of_work` is one transaction, committed before a caller gets an answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, Engine, Insert, Result, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from app.db.address import parse_address, public_address
from app.db.base import Base
from app.db.errors import DatabaseUnavailable
from app.db.limits import PATIENT, Limits, watch
from app.db.timeline import JoinedTimeline
from app.db.unavailable import reason_of

SQLITE_BUSY_SECONDS = 15


def open_database(url: str, *, pooled: bool = True, limits: Limits = PATIENT) -> Engine:
    """An engine for SQLite (WAL) or PostgreSQL.

    Args:
        pooled: False in processes that fork later, so that no connection is shared across a fork.
        limits: how long to wait for PostgreSQL.

    Raises:
        UnsupportedDatabaseUrl: the URL cannot be parsed, or names an unsupported database.
        DatabaseUnavailable: SQLite's folder cannot be created.
    """
    parsed = parse_address(url)
    # Parameters of statements are user data: keep them out of messages and tracebacks.
    options: dict[str, Any] = {"hide_parameters": True} | ({} if pooled else {"poolclass": NullPool})
    if parsed.get_backend_name() == "postgresql":
        if pooled:
            options |= {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 30}
            options |= {"pool_timeout": limits.checkout_seconds}
        engine = create_engine(parsed, connect_args=limits.connect_arguments, **options)
        watch(engine, limits)
        event.listen(engine, "handle_error", _drop_data)
        return engine
    assert parsed.database is not None
    if not parsed.database.startswith("file:"):
        try:
            Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable.because(
                public_address(parsed), f"its folder cannot be made: {error.strerror}"
            ) from error
        _make_private(parsed.database)
    engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_SECONDS}, **options)
    event.listen(engine, "handle_error", _drop_data)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: str) -> None:
    """Create the file for its owner only, before SQLite creates it. SQLite gives `-wal` and `-shm` the same mode."""
    # If it cannot be created, SQLite will say why. An existing file keeps its mode.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _drop_data(context: ExceptionContext) -> None:
    without_data(context.original_exception, context.sqlalchemy_exception)


def without_data(original: BaseException, error: BaseException | None) -> None:
    """Remove data from an error. PostgreSQL quotes rows and values in its messages; only the violated rule is kept.

    Args:
        original: the driver's error, which is changed in place.
        error: SQLAlchemy's error around it, changed likewise.
    """
    if isinstance(error, DataError):
        kept = type(original).__name__
    elif isinstance(error, IntegrityError):
        kept = str(original).partition("\n")[0]
    else:
        return
    for told in (original, error):
        told.args = (kept,)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver would defer BEGIN. Turn that off: `_begin_sqlite` begins the transaction.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: what a 202 promises must survive a power failure.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # Overwrite deleted events instead of leaving them in free pages.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # IMMEDIATE takes the write lock at once. Upgrading a read transaction later may fail.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


# Keys of `Session.info`: the timeline that `lock_ledger` compares the ledger with, and the ledger after that.
TIMELINE = "timeline"
LEDGER = "ledger"


class Database:
    """The two ways to use the database: `read` and `unit_of_work`.

    ``timeline`` records what this process has seen of the database's timeline.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.timeline = JoinedTimeline()
        self._reader = engine.execution_options(read_only=True)

    @contextmanager
    def unit_of_work(self, *, joining: bool = False) -> Iterator[Session]:
        """One transaction, committed when the block ends without an exception.

        Args:
            joining: whether the transaction replays the journal. Then the database's timeline is not checked.

        Raises:
            DatabaseRewound: at the lock of the ledger, if the database was restored or replaced.
            DatabaseUnavailable: the database could not be reached or did not take the commit.
        """
        with (
            translated(self.engine),
            Session(
                self.engine, expire_on_commit=False, info={} if joining else {TIMELINE: self.timeline}
            ) as session,
        ):
            with session.begin():
                yield session
            if LEDGER in session.info:
                self.timeline.saw(session.info[LEDGER].epoch)

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Session]:
        """A read-only transaction. On SQLite it never waits for a writer.

        Args:
            snapshot: whether all statements see one state, whatever is committed meanwhile. On SQLite they always do.

        Raises:
            DatabaseUnavailable: the database could not be reached.
        """
        with (
            translated(self.engine),
            Session(self._reader, expire_on_commit=False, autoflush=False) as session,
            session.begin(),
        ):
            if snapshot and self.engine.dialect.name == "postgresql":
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    def dispose(self) -> None:
        self.engine.dispose()


def insert_ignoring_duplicates(session: Session, table: type[Base]) -> Insert:
    """An INSERT in the session's dialect that leaves existing rows unchanged."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


def rows_changed(result: Result[Any]) -> int:
    """How many rows an UPDATE or a DELETE has changed, or an INSERT with the option `preserve_rowcount`."""
    # A session promises a `Result` only; of these statements it is one that counts.
    assert isinstance(result, CursorResult)
    assert result.rowcount >= 0, "an INSERT counts with the option preserve_rowcount only"
    return result.rowcount


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn a driver's error that means that the database cannot be used now into `DatabaseUnavailable`.

    Raises:
        DatabaseUnavailable: with the driver's own reason, without statement, parameters or password.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        reason = reason_of(error)
        if reason is None:
            raise
        if engine.url.password:
            reason = reason.replace(engine.url.password, "***")
        raise DatabaseUnavailable.because(public_address(engine.url), reason) from error
