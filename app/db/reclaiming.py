"""Taking erased rows out of the database's files: deleting only says that nobody may read them any more.

PostgreSQL keeps a deleted row in its page until a vacuum, and bytes of it in the page's free space until something else
is written there; only a rewrite leaves none. SQLite overwrites what it deletes, and keeps it in the log beside the
database until that is truncated. What has left these files (archived logs, backups) is the operator's to expire.
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

# Where rows of subjects are deleted. Whoever asked stays in the suppressions and the requests.
TABLES = tuple(table.__tablename__ for table in (Interaction, NeverSeenLevel, PartReading, PastReader))

# For transactions that are older than the deletion; most are over by then.
SNAPSHOT_SECONDS = 3.0
_LOOK_EVERY_SECONDS = 0.05
# Whoever reads or writes meanwhile queues behind a rewrite that waits for its lock. A recommendation has less patience
# than a rewrite needs beside a long read, and then everybody gets the fallback: so it waits briefly, and several times.
REWRITE_LOCK_TIMEOUT = "300ms"
_REWRITE_TRIES = 5
_REWRITE_PAUSE_SECONDS = 0.4
LIMITS = {"lock_timeout": "2s", "statement_timeout": "600s"}

# Whoever still sees what was deleted before a transaction: then a vacuum must leave it. Transactions of other databases
# count, because the snapshot of a rewrite begins with the oldest of all.
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
    VACUUMED = "vacuumed"  # no query finds them; some are left in free space until that is used again
    HELD_BACK = "held_back"  # a transaction, standby or slot is older than the deletion, and keeps them
    REFUSED = "refused"  # the role may not, or a lock was not to be had


def reclaim(database: Database, *, rewrite_up_to_bytes: int) -> Reclaimed:
    """Never raises: what cannot be reclaimed now is reclaimed by the next run that completes, or by autovacuum.

    Args:
        rewrite_up_to_bytes: a larger table is vacuumed in place, because a rewrite keeps everybody out meanwhile.
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
    """A connection without transactions, which a vacuum must not be in."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name, value in LIMITS.items():
            connection.execute(text(f"SET {name} = '{value}'"))
        try:
            yield connection
            for name in LIMITS:
                connection.execute(text(f"RESET {name}"))
        except BaseException:
            # Nobody is to get it with these limits.
            connection.invalidate()
            raise


def _wait_for_older_snapshots(connection: Connection) -> bool:
    """Whether nobody is left who could see what has been deleted; others' transactions are short."""
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
                # Somebody keeps it in use; a vacuum needs nobody out of the way.
                log.warning("rows.not_rewritten", table=table, error=str(error))
    connection.execute(text(f"SET lock_timeout = '{LIMITS['lock_timeout']}'"))
    return _run(connection, f"VACUUM (ANALYZE, INDEX_CLEANUP ON) {table}", Reclaimed.VACUUMED)


def _run(connection: Connection, statement: str, achieved: Reclaimed) -> Reclaimed:
    """A table that the role may not vacuum is left out with a warning, and no error."""
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
