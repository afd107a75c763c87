"""Inserts many rows into PostgreSQL by COPY, which is faster than one statement per row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Column, Integer, MetaData, Table, delete, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable

from app.db.base import Base
from app.db.session import without_data

_PLACE = "place"


def copy_ignoring_duplicates(
    session: Session, table: type[Base], columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> int:
    """Insert rows in their order, and skip duplicates. PostgreSQL only.

    COPY stops at a duplicate, so the rows are copied into a temporary table of the connection first.

    Args:
        columns: the names of the rows' values.

    Returns:
        The number of rows that were inserted.

    Raises:
        sqlalchemy.exc.DBAPIError: as for any statement, without the rows' values.
    """
    incoming = _incoming(table, tuple(columns))
    connection = session.connection()
    connection.execute(CreateTable(incoming, if_not_exists=True))
    _copy(session, incoming, rows)
    in_order = select(*(incoming.c[name] for name in columns)).order_by(incoming.c[_PLACE])
    insert = postgresql.insert(table).from_select(list(columns), in_order).on_conflict_do_nothing()
    # Without this option SQLAlchemy does not return the number of inserted rows.
    inserted = connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount
    # The commit empties the table too, but this transaction may copy more rows before.
    connection.execute(delete(incoming))
    return inserted


@cache
def _incoming(table: type[Base], columns: tuple[str, ...]) -> Table:
    """The temporary table: the columns of the rows, and their place. It lives as long as the connection."""
    of_table = table.__table__.c
    return Table(
        f"incoming_{table.__tablename__}",
        MetaData(),
        Column(_PLACE, Integer),
        *(Column(name, of_table[name].type) for name in columns),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DELETE ROWS",
    )


def _copy(session: Session, incoming: Table, rows: Iterable[Sequence[Any]]) -> None:
    connection = session.connection()
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(incoming.name))
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for place, row in enumerate(rows):
                copy.write_row((place, *row))
    except psycopg.Error as error:
        # Translate the driver's error, as SQLAlchemy does for its own statements.
        if driver.closed:
            connection.invalidate(error)
        raised = DBAPIError.instance(
            "COPY",
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=bool(driver.closed),
            dialect=connection.dialect,
        )
        without_data(error, raised)
        raise raised from error
