"""The bytes that a database keeps on its disk."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from app.db.reclaiming import TABLES
from app.db.session import Database


def occurrences(database: Database, pattern: bytes) -> int:
    """How often these bytes are in its files: SQLite's, or PostgreSQL's of the tables that rows are erased from."""
    if database.engine.dialect.name == "sqlite":
        assert database.engine.url.database is not None
        path = Path(database.engine.url.database)
        return sum(file.read_bytes().count(pattern) for file in path.parent.glob(f"{path.name}*"))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
        files = connection.scalars(
            text("""
                SELECT pg_read_binary_file(pg_relation_filepath(file)) FROM (
                    SELECT to_regclass(name) AS file FROM unnest(CAST(:tables AS text[])) AS name
                    UNION ALL SELECT indexrelid FROM pg_index
                        WHERE indrelid IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name)
                ) AS files
            """),
            {"tables": list(TABLES)},
        ).all()
    return sum(bytes(content).count(pattern) for content in files)
