"""Retires replicas from the command line."""

from __future__ import annotations

from datetime import timedelta

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.replicas import service
from app.replicas.service import NotSilent
from app.settings import get_settings
from cli.failures import CommandError


def retire(name: str) -> None:
    """
    Raises:
        CommandError, DatabaseError: nothing was changed; the message is one line.
    """
    settings = get_settings()
    engine = open_database(settings.database_url, pooled=False)
    require_current_schema(engine)
    timeout = timedelta(seconds=settings.replica_timeout_seconds)
    try:
        with Transaction.begin(Database(engine), AuditLog.of(settings)) as transaction:
            service.retire(transaction, name, timeout=timeout, actor="lethe replicas")
    except NotSilent as error:
        raise CommandError(
            f"no silent gateway with a vLLM server is named {name}: lethe status names those that are waited for"
        ) from error
