"""R-39: whichever bit of a small log's rows is flipped, the verification notices.

On SQLite, where a row takes any bytes: what PostgreSQL lets a superuser write is a part of that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.audit import tree
from app.audit.events import ForgetRetried
from app.audit.log import AuditLog, LogUnreadable
from app.audit.transaction import Transaction
from app.db.session import Database, open_database

COLUMNS = {
    "audit_entries": ("sequence", "recorded_at", "actor", "action", "data", "previous_mac", "mac"),
    "audit_nodes": ("level", "place", "digest"),
    "audit_references": ("reference", "sequence"),
    "audit_tree": ("size",),
}


@pytest.fixture
def log(migrated_file: Path, tmp_path: Path, audit: AuditLog) -> Iterator[Database]:
    """Two entries and the tree over them."""
    shutil.copy(migrated_file, tmp_path / "lethe.sqlite3")
    database = Database(open_database(f"sqlite:///{tmp_path}/lethe.sqlite3"))
    with database.unit_of_work() as session:
        transaction = Transaction(session, audit)
        for request in ("fr_1", "fr_2"):
            transaction.record(ForgetRetried(request))
    tree.grow(database)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_entries_refuse_update"))
    yield database
    database.dispose()


def holds(connection: Connection, audit: AuditLog) -> bool:
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        try:
            return audit.first_broken(session) is None and not list(tree.disagreements(session))
        except (LogUnreadable, DBAPIError):
            return False


@contextmanager
def changed(connection: Connection, table: str, column: str, row: int, value: object) -> Iterator[bool]:
    """Change one value for a while. False if a constraint of the table does not allow it."""
    with connection.begin_nested() as savepoint:
        try:
            # Bytes become text as they are, whether they are UTF-8 or not.
            new = "CAST(:value AS TEXT)" if isinstance(value, bytes) else ":value"
            connection.execute(
                text(f"UPDATE {table} SET {column} = {new} WHERE rowid = :row"), {"value": value, "row": row}
            )
        except DBAPIError:
            yield False
        else:
            yield True
        savepoint.rollback()


def flips(column: str, value: object) -> Iterator[object]:
    """The value with one bit flipped, in every way."""
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in range(16))
        return
    assert isinstance(value, str)
    content = value.encode()
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            if column != "recorded_at" or not same_moment(value, bytes(flipped)):
                yield bytes(flipped)


def same_moment(before: str, after: bytes) -> bool:
    """SQLite keeps a time as text, and has several for one moment: 12:00:00.5 and 12:00:00,5."""
    try:
        return datetime.fromisoformat(before) == datetime.fromisoformat(after.decode())
    except ValueError:
        return False


@pytest.mark.parametrize("table", COLUMNS)
def test_every_flipped_bit_is_noticed(log: Database, audit: AuditLog, table: str) -> None:
    unnoticed, tried = [], 0
    with log.engine.begin() as connection:
        assert holds(connection, audit)
        for row, *values in connection.execute(
            text(f"SELECT rowid, {', '.join(COLUMNS[table])} FROM {table}")
        ).all():
            for column, value in zip(COLUMNS[table], values, strict=True):
                for flipped in flips(column, value):
                    with changed(connection, table, column, row, flipped) as done:
                        tried += 1
                        if done and holds(connection, audit):
                            unnoticed.append((table, column, value, flipped))
        assert holds(connection, audit)
    assert tried
    assert unnoticed == []
