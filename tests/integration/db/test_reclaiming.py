"""Erased rows leave the database's files, and where they cannot, that is said."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from sqlalchemy import Select, delete, event, select, text

from app.db import reclaiming
from app.db.models import Interaction
from app.db.reclaiming import Reclaimed, reclaim
from app.db.session import Database, open_database
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.settings import Settings
from tests.integration.database_files import occurrences

LARGE = 2**40
ERASED = range(20, 25)


def subject(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def fill(database: Database) -> None:
    """Rows of many people on every page, in the order in which events come."""
    rows = [
        NewInteraction(subject(user), f"i{step}", 1000 + step) for user in range(100) for step in range(20)
    ]
    random.Random(1).shuffle(rows)
    for start in range(0, len(rows), 500):
        with database.unit_of_work() as session:
            interactions.ingest(session, rows[start : start + 500])


def erase(database: Database) -> None:
    subjects = [subject(user) for user in ERASED]
    with database.unit_of_work() as session:
        session.execute(delete(Interaction).where(Interaction.subject_hmac.in_(subjects)))


def left(database: Database) -> int:
    return sum(occurrences(database, subject(user).encode()) for user in ERASED)


@pytest.fixture
def filled(database: Database) -> Database:
    fill(database)
    assert left(database) > 0
    return database


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have transactions open on the same server."""
    monkeypatch.setattr(reclaiming, "SNAPSHOT_SECONDS", 60.0)


def test_no_byte_of_erased_rows_is_left_in_the_databases_files(filled: Database) -> None:
    erase(filled)
    assert left(filled) > 0
    assert reclaim(filled, rewrite_up_to_bytes=LARGE) == Reclaimed.REWRITTEN
    assert left(filled) == 0
    with filled.read() as session:
        assert len(session.scalars(interactions_of(subject(1))).all()) == 20


def test_a_reader_from_before_holds_them_back_and_that_is_said(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if filled.engine.dialect.name == "sqlite":
        event.listen(
            filled.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout=200")
        )
    other = open_database(filled.engine.url.render_as_string(hide_password=False), pooled=False)
    reading = other.execution_options(read_only=True)
    if other.dialect.name == "postgresql":
        reading = reading.execution_options(isolation_level="REPEATABLE READ")
    with reading.connect() as connection:
        connection.execute(interactions_of(subject(1))).all()
        erase(filled)
        with monkeypatch.context() as impatient:
            impatient.setattr(reclaiming, "SNAPSHOT_SECONDS", 0.2)
            assert reclaim(filled, rewrite_up_to_bytes=LARGE) == Reclaimed.HELD_BACK
        assert left(filled) > 0
    assert reclaim(filled, rewrite_up_to_bytes=LARGE) == Reclaimed.REWRITTEN
    assert left(filled) == 0
    other.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_large_table_is_vacuumed_and_not_rewritten(filled: Database) -> None:
    erase(filled)
    before = file_of(filled)
    assert reclaim(filled, rewrite_up_to_bytes=0) == Reclaimed.VACUUMED
    assert file_of(filled) == before
    assert rows_in_pages(filled) == 100 * 20 - len(ERASED) * 20


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_table_that_somebody_keeps_in_use_is_vacuumed(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(reclaiming.LIMITS, "lock_timeout", "200ms")
    with filled.engine.connect() as other:
        other.execute(text("LOCK TABLE interactions IN ACCESS SHARE MODE"))
        erase(filled)
        assert reclaim(filled, rewrite_up_to_bytes=LARGE) == Reclaimed.VACUUMED
    with filled.engine.connect() as connection:
        # As everywhere: no connection keeps the limits of a vacuum.
        assert connection.scalar(text("SHOW lock_timeout")) == "10s"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_rewrite_that_waits_for_its_lock_keeps_recommendations_waiting_for_less_than_their_patience(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads queues behind it; one that waits too long turns everybody's answer into the fallback."""
    monkeypatch.setattr(reclaiming, "_REWRITE_PAUSE_SECONDS", 0.0)
    waited: list[str] = []

    def look(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("VACUUM (FULL"):
            waited.append(
                cursor.execute("SELECT setting FROM pg_settings WHERE name = 'lock_timeout'").fetchone()[0]
            )

    with filled.engine.connect() as other:
        other.execute(text("LOCK TABLE interactions IN ACCESS SHARE MODE"))
        erase(filled)
        event.listen(filled.engine, "before_cursor_execute", look)
        assert reclaim(filled, rewrite_up_to_bytes=LARGE) == Reclaimed.VACUUMED
    patience = Settings.model_fields["database_prompt_seconds"].default
    assert len(waited) > len(reclaiming.TABLES)
    assert all(float(milliseconds) < 500 * patience for milliseconds in waited)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_role_that_may_not_vacuum_is_noticed(filled: Database) -> None:
    role = f"{filled.engine.url.database}_guest"
    with filled.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
        # Not ALL: from PostgreSQL 17 on, that has the right to vacuum in it.
        rights = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"
        connection.execute(text(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}"))
    guest = Database(open_database(filled.engine.url.render_as_string(hide_password=False), pooled=False))

    def act_as_guest(connection: Any, _record: object) -> None:
        connection.execute(f"SET ROLE {role}")
        connection.commit()

    event.listen(guest.engine, "connect", act_as_guest)
    try:
        erase(filled)
        assert reclaim(guest, rewrite_up_to_bytes=LARGE) == Reclaimed.REFUSED
    finally:
        with filled.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


def interactions_of(whom: str) -> Select[tuple[int]]:
    return select(Interaction.id).where(Interaction.subject_hmac == whom)


def file_of(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return connection.scalar(text("SELECT pg_relation_filepath('interactions')"))


def rows_in_pages(database: Database) -> int | None:
    """With those that no query finds any more."""
    with database.engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pageinspect"))
        return connection.scalar(
            text("""
                SELECT count(*) FROM generate_series(0, pg_relation_size('interactions') / 8192 - 1) AS page,
                    heap_page_items(get_raw_page('interactions', page::int)) WHERE lp_len > 0
            """)
        )
