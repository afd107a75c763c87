"""Removes erased rows from the database's files: DELETE makes rows invisible but leaves their bytes there.

PostgreSQL keeps a deleted row in its page until a vacuum. After that, bytes of the row stay in the page's free space
until they are overwritten; only a rewrite of the table leaves none. SQLite overwrites deleted rows, but keeps them in
its write-ahead log until that is truncated. Archived logs and backups are for the operator to expire.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import structlog
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, text

from app.db.errors import DatabaseUnavailable
from app.db.models import Interaction, NeverSeenLevel, PartReading, PastReader
from app.db.session import Database, translated

log = structlog.get_logger()

# The tables from which a subject's rows are deleted. Suppressions and requests are kept.
TABLES = tuple(table.__tablename__ for table in (Interaction, NeverSeenLevel, PartReading, PastReader))

# How long to wait for transactions that are older than the deletion. Most end sooner.
SNAPSHOT_SECONDS = 3.0
_LOOK_EVERY_SECONDS = 0.05
# While a rewrite waits for its lock, all readers and writers queue behind it. Recommendations give up after a short
# time, and everybody would get the fallback. So the rewrite waits only briefly, and tries several times.
REWRITE_LOCK_TIMEOUT = "300ms"
_REWRITE_TRIES = 5
_REWRITE_PAUSE_SECONDS = 0.4
LIMITS = {"lock_timeout": "2s", "statement_timeout": "600s"}

# Counts snapshots that may still see rows deleted before the marked transaction; a vacuum must keep these rows.
# Transactions of other databases count too, because the snapshot of a rewrite depends on the oldest of all.
_OLDER_SNAPSHOTS = text("""
    SELECT count(*) FROM (
        SELECT backend_xmin AS oldest FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND (datname IS NULL OR datname = current_database())
        UNION ALL SELECT backend_xid FROM pg_stat_activity WHERE pid <> pg_backend_pid()
        UNION ALL SELECT xmin FROM pg_replication_slots
        UNION ALL SELECT transaction FROM pg_prepared_xacts
    ) AS held WHERE age(oldest) > age(CAST(:mark AS xid))
""")


class Reclaimed(StrEnum):
    """What became of the erased rows' bytes. The members are in order, the worst last."""

    REWRITTEN = "rewritten"  # none is left in the database's files
    VACUUMED = "vacuumed"  # no query finds them; some are left in free space until it is reused
    HELD_BACK = "held_back"  # a transaction, standby or slot is older than the deletion, and keeps them
    REFUSED = "refused"  # the role lacks the right, or the lock was not available


def reclaim(database: Database, *, rewrite_up_to_bytes: int) -> Reclaimed:
    """Remove the erased rows' bytes. Never raises: the next run that completes, or autovacuum, removes what is left.

    Args:
        rewrite_up_to_bytes: a larger table is vacuumed in place, because a rewrite locks the table meanwhile.
    """
    try:
        if database.engine.dialect.name == "sqlite":
            return Reclaimed.REWRITTEN if _truncate_log(database) else Reclaimed.HELD_BACK
        return _vacuum(database, rewrite_up_to_bytes)
    except DatabaseUnavailable as error:
        log.warning("rows.not_reclaimed", error=str(error))
        return Reclaimed.REFUSED


def _truncate_log(database: Database) -> bool:
    with translated(database.engine), database.engine.connect() as connection:
        connection.rollback()
        cursor = connection.connection.cursor()
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.close()
    return not busy


def _vacuum(database: Database, rewrite_up_to_bytes: int) -> Reclaimed:
    with translated(database.engine), _maintaining(database) as connection:
        free = _wait_for_older_snapshots(connection)
        done = [_vacuum_table(database, connection, table, rewrite_up_to_bytes) for table in TABLES]
    if not free:
        done.append(Reclaimed.HELD_BACK)
    order = list(Reclaimed)
    return max(done, key=order.index)


@contextmanager
def _maintaining(database: Database) -> Iterator[Connection]:
    """A connection in autocommit mode, because VACUUM must not run in a transaction."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name, value in LIMITS.items():
            connection.execute(text(f"SET {name} = '{value}'"))
        try:
            yield connection
            for name in LIMITS:
                connection.execute(text(f"RESET {name}"))
        except BaseException:
            # Discard the connection: it must not return to the pool with these limits.
            connection.invalidate()
            raise


def _wait_for_older_snapshots(connection: Connection) -> bool:
    """Wait until no snapshot can see the deleted rows. Returns False after `SNAPSHOT_SECONDS`."""
    mark = connection.scalar(text("SELECT CAST(CAST(pg_current_xact_id() AS xid) AS text)"))
    deadline = time.monotonic() + SNAPSHOT_SECONDS
    while connection.scalar(_OLDER_SNAPSHOTS, {"mark": mark}):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_SECONDS)
    return True


def _vacuum_table(
    database: Database, connection: Connection, table: str, rewrite_up_to_bytes: int
) -> Reclaimed:
    size = connection.scalar(text(f"SELECT pg_total_relation_size('{table}')"))
    assert size is not None
    if size <= rewrite_up_to_bytes:
        connection.execute(text(f"SET lock_timeout = '{REWRITE_LOCK_TIMEOUT}'"))
        for left in reversed(range(_REWRITE_TRIES)):
            try:
                with translated(database.engine):
                    return _run(connection, f"VACUUM (FULL, ANALYZE) {table}", Reclaimed.REWRITTEN)
            except DatabaseUnavailable as error:
                if connection.invalidated:
                    raise
                if left:
                    time.sleep(_REWRITE_PAUSE_SECONDS)
                    continue
                # The table stays in use. A plain vacuum does not need an exclusive lock.
                log.warning("rows.not_rewritten", table=table, error=str(error))
    connection.execute(text(f"SET lock_timeout = '{LIMITS['lock_timeout']}'"))
    return _run(connection, f"VACUUM (ANALYZE, INDEX_CLEANUP ON) {table}", Reclaimed.VACUUMED)


def _run(connection: Connection, statement: str, achieved: Reclaimed) -> Reclaimed:
    """Run a statement. PostgreSQL skips a table that the role may not vacuum with a warning, not with an error."""
    warnings: list[str] = []

    def note(notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            warnings.append(notice.message_primary or "")

    driver = connection.connection.driver_connection
    assert driver is not None
    driver.add_notice_handler(note)
    try:
        connection.execute(text(statement))
    finally:
        driver.remove_notice_handler(note)
    if warnings:
        log.warning("rows.not_reclaimed", error=warnings[0])
        return Reclaimed.REFUSED
    return achieved
