"""Requests a consolidation from the command line, by way of the database. A worker's sweeper dispatches the run."""

from __future__ import annotations

import time
from datetime import timedelta

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.consolidations import service as consolidations
from app.db.models import ConsolidationReason, RunStatus
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.runs import queries as runs
from app.settings import get_settings
from cli.progress import watch

_LOOK_EVERY_SECONDS = 0.5


def _database() -> Database:
    database = Database(open_database(get_settings().database_url, pooled=False))
    require_current_schema(database.engine)
    return database


def request() -> str:
    """Request a consolidation. Returns the id of the run.

    Raises:
        DatabaseError: nothing is live, or the database cannot be used.
    """
    settings = get_settings()
    with Transaction.begin(_database(), AuditLog.of(settings)) as transaction:
        return consolidations.request(
            transaction,
            reason=ConsolidationReason.ON_DEMAND,
            requested_by="lethe consolidate",
            patience=timedelta(seconds=settings.consolidation_patience_seconds),
            now=transaction.now(),
        ).run.id


def wait_until_ended(run_id: str) -> str | None:
    """Wait for the run's end. Returns None if it is completed, or why it needs attention.

    Raises:
        DatabaseError: the database cannot be used any more. The run goes on without this command.
    """
    database = _database()
    with watch("consolidation") as show:
        while True:
            with database.read() as session:
                run = runs.find(session, run_id)
            assert run is not None
            if run.status == RunStatus.COMPLETED:
                return None
            if run.status == RunStatus.NEEDS_ATTENTION:
                return f"needs attention ({run.detail_code}): {run.detail}"
            show(run.progress or ("waits for a worker" if run.status == RunStatus.QUEUED else run.stage))
            time.sleep(_LOOK_EVERY_SECONDS)
