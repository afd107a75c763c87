"""Checking the audit log from the command line."""

from __future__ import annotations

from app.db.audit import AuditLog
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.settings import get_settings


def verify() -> int | None:
    """The sequence number of the first entry that does not verify, None if all do."""
    settings = get_settings()
    engine = open_database(settings.database_url, pooled=False)
    require_current_schema(engine)
    database = Database(engine)
    with database.read() as session:
        return AuditLog(settings.audit_key.get_secret_value().encode()).first_broken(session)
