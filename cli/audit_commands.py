"""Verifies the audit log for `lethe audit verify`."""

from __future__ import annotations

from app.audit.log import AuditLog
from app.audit.verification import Verification
from app.audit.verification import verify as verify_log
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.settings import get_settings
from cli.progress import watch
from cli.quiet_log import log_warnings_only
from model_store import open_store


def verify() -> Verification:
    """Verify the audit log.

    Raises:
        DatabaseError, StoreError: the log, or the records that it is compared with, cannot be read.
    """
    settings = get_settings()
    log_warnings_only()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    audit = AuditLog.of(settings)
    store = open_store(settings.store_url)
    with watch("audit") as show:
        show("every entry is verified")
        return verify_log(database, audit, store)
