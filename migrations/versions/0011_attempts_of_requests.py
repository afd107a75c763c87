"""Which requests an attempt was made for, and for which a rung was left out, in tables that can be searched.

Expand: two new tables, filled from the lists that stay where they are. The previous release writes the lists alone: let
no old worker run beside the new ones, or what it tried is missing on the pages of its requests.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011_attempts_of_requests"
down_revision = "0010_level_makings"

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# The record, and the table that ties it to requests.
_TABLES = {
    "attempts": ("attempt_requests", "attempt_id"),
    "skipped_rungs": ("skipped_rung_requests", "skipped_rung_id"),
}


def upgrade() -> None:
    for record, (table, column) in _TABLES.items():
        op.create_table(
            table,
            sa.Column(column, _BIG_ID, autoincrement=False, nullable=False),
            sa.Column("request_id", sa.String(length=40), nullable=False),
            sa.ForeignKeyConstraint([column], [f"{record}.id"], name=op.f(f"fk_{table}_{column}_{record}")),
            sa.ForeignKeyConstraint(
                ["request_id"], ["forget_requests.id"], name=op.f(f"fk_{table}_request_id_forget_requests")
            ),
            sa.PrimaryKeyConstraint(column, "request_id", name=op.f(f"pk_{table}")),
        )
        op.create_index(op.f(f"ix_{table}_request_id"), table, ["request_id"])
        _fill(record, table, column)


def _fill(record: str, table: str, column: str) -> None:
    connection = op.get_bind()
    requests = sa.table("forget_requests", sa.column("id", sa.String()))
    records = sa.table(record, sa.column("id", _BIG_ID), sa.column("requests", sa.JSON()))
    links = sa.table(table, sa.column(column, _BIG_ID), sa.column("request_id", sa.String()))
    known = set(connection.scalars(sa.select(requests.c.id)))
    found: list[dict[str, Any]] = [
        {column: row.id, "request_id": request}
        for row in connection.execute(sa.select(records.c.id, records.c.requests))
        # An earlier release named none.
        for request in dict.fromkeys(row.requests or ())
        if request in known
    ]
    if found:
        connection.execute(sa.insert(links), found)


def downgrade() -> None:
    for table, _ in _TABLES.values():
        op.drop_table(table)
