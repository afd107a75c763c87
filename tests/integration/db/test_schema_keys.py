"""A restore that was not whole leaves tables without their keys, and is not worked with."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.db.schema import SchemaDamaged, require_current_schema
from tests.integration.db.conftest import Service


@pytest.mark.parametrize("table", ["replicas", "suppressions", "forget_requests"])
def test_a_table_without_its_primary_key_is_refused(service: Service, table: str) -> None:
    engine = service.database.engine
    require_current_schema(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT pk_{table} CASCADE"))
        else:
            # SQLite drops no constraint: the same table, without any.
            connection.execute(text(f"CREATE TABLE copied AS SELECT * FROM {table}"))
            connection.execute(text("PRAGMA foreign_keys = OFF"))
            connection.execute(text(f"DROP TABLE {table}"))
            connection.execute(text(f"ALTER TABLE copied RENAME TO {table}"))
    with pytest.raises(SchemaDamaged):
        require_current_schema(engine)
