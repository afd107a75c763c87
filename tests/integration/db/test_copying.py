"""COPY on PostgreSQL stores what statements store, and its failures look like theirs."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.copying import copy_ignoring_duplicates
from app.db.errors import DatabaseUnavailable
from app.db.models import Interaction
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.interactions import service as interactions
from app.interactions.service import Ingested, NewInteraction

COLUMNS = ("subject_hmac", "item_id", "timestamp")
# Ids hold anything but control characters; COPY has characters of its own.
ITEMS = ("a", "\\N", "\\.", "back\\slash", '"quoted"', "a,b", "é", "\N{ROCKET}", "  two  spaces  ", "NULL")


@pytest.fixture
def postgresql(database: Database) -> Database:
    if database.engine.dialect.name != "postgresql":
        pytest.skip("COPY is PostgreSQL's")
    return database


def event(number: int, subject: str = "a") -> NewInteraction:
    rating = None if number % 3 == 0 else number / 4
    return NewInteraction(subject * 64, ITEMS[number % len(ITEMS)], number // len(ITEMS), rating)


def stored(database: Database) -> list[tuple[str, str, int, float | None]]:
    with database.read() as session:
        rows = session.execute(select(Interaction).order_by(Interaction.id)).scalars()
        return [(row.subject_hmac, row.item_id, row.timestamp, row.rating) for row in rows]


@pytest.mark.parametrize("size", [1, 99, 100, 250])
def test_events_of_any_number_are_stored_once_and_in_their_order(database: Database, size: int) -> None:
    """Few go by statements and many by COPY; on SQLite all go by statements."""
    events = [event(number) for number in range(size)]
    with database.unit_of_work() as session:
        assert interactions.ingest(session, [*events, *events]) == Ingested(size, size, 0)
        # Once more in the same transaction.
        assert interactions.ingest(session, events) == Ingested(0, size, 0)
    with database.unit_of_work() as session:
        assert interactions.ingest(session, [*events, event(0, "b")]) == Ingested(1, size, 0)
    assert stored(database) == [tuple(vars(one).values()) for one in [*events, event(0, "b")]]


def test_the_suppressed_are_left_out_of_many(database: Database, audit: AuditLog) -> None:
    with database.unit_of_work() as session:
        forget_requests.accept(
            Transaction(session, audit), subject_hmac="b" * 64, requested_by="tests", now=utc_now()
        )
    events = [event(number, "ab"[number % 2]) for number in range(400)]
    with database.unit_of_work() as session:
        assert interactions.ingest(session, events) == Ingested(200, 0, 200)
    assert {subject for subject, *_ in stored(database)} == {"a" * 64}


def test_nothing_remains_of_a_copy_that_did_not_commit(postgresql: Database) -> None:
    events = [event(number) for number in range(200)]

    def interrupted() -> None:
        with postgresql.unit_of_work() as session:
            interactions.ingest(session, events)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert stored(postgresql) == []
    with postgresql.unit_of_work() as session:
        interactions.ingest(session, events)
        in_use = session.scalar(text("SELECT count(*) FROM incoming_interactions"))
    assert in_use == 0
    assert len(stored(postgresql)) == 200


@pytest.mark.parametrize(
    "row",
    [("a" * 64, "secret" + "x" * 1000, 1), ("a" * 64, "secret", 2**70), ("a" * 64, "secret\0", 1)],
    ids=["too long", "too large", "no text"],
)
def test_a_value_that_does_not_fit_is_not_quoted(postgresql: Database, row: tuple[str, str, int]) -> None:
    with pytest.raises(DBAPIError) as caught, postgresql.unit_of_work() as session:
        copy_ignoring_duplicates(session, Interaction, COLUMNS, [row])
    assert "secret" not in str(caught.value)
    assert "secret" not in str(caught.value.__cause__)
    assert stored(postgresql) == []


def test_a_rule_that_a_row_breaks_is_said_without_the_row(postgresql: Database) -> None:
    with pytest.raises(IntegrityError) as caught, postgresql.unit_of_work() as session:
        copy_ignoring_duplicates(
            session, Interaction, COLUMNS, [("a" * 64, None, 1), ("a" * 64, "secret", 1)]
        )
    assert "secret" not in str(caught.value)
    assert "item_id" in str(caught.value)


def test_a_connection_that_is_lost_in_a_copy_is_a_database_that_is_away(postgresql: Database) -> None:
    events = [event(number) for number in range(200)]

    def ended(session: Session) -> Iterator[tuple[str, str, int]]:
        """Rows of which the server ends the connection after the first one."""
        yield ("a" * 64, "i", 1)
        driver = session.connection().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with postgresql.engine.connect() as other:
            other.execute(select(func.pg_terminate_backend(driver.info.backend_pid)))
        # More than the driver holds back before it talks to the server.
        for number in range(200_000):
            yield ("a" * 64, "i", 2 + number)

    def copy() -> None:
        with postgresql.unit_of_work() as session:
            copy_ignoring_duplicates(session, Interaction, COLUMNS, ended(session))

    with pytest.raises(DatabaseUnavailable):
        copy()
    with postgresql.unit_of_work() as session:
        assert interactions.ingest(session, events).stored == 200
