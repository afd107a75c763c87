"""Imports, exports and rolls back versions from the command line."""

from __future__ import annotations

from pathlib import Path

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.errors import BelowErasureFloor
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.forget_requests.policy import load_request_policy
from app.restoration.service import join_timeline
from app.settings import Settings, get_settings
from app.versions import queries as version_queries
from app.versions import rollback
from cli.failures import CommandError
from cli.installation import Terminal
from cli.quiet_log import log_warnings_only
from model_store import Store, open_store
from worker.exporting import FolderTaken, export_version
from worker.first_fit import later_adapter
from worker.first_fit.later_adapter import LaterAdapter

_INSTEAD = "Instead: lethe consolidate, which fits anew, or lethe versions import."


def import_adapter(order: LaterAdapter) -> None:
    """
    Raises:
        CommandError, FirstFitError, RecommenderError, StoreError, DatabaseError: the message is one line.
    """
    log_warnings_only()
    try:
        later_adapter.import_adapter(order, get_settings(), Terminal())
    except BelowErasureFloor as error:
        raise CommandError(
            "the adapter has read somebody who has been forgotten, or an item that was erased (--without-taken-items "
            "says that it has not): it is not taken, and what was stored of it is destroyed"
        ) from error


def export(version: str | None, folder: Path) -> str:
    """Returns what to tell the operator.

    Raises:
        CommandError, StoreError, DatabaseError: the message is one line that says what to do.
    """
    database, audit, store = _open(get_settings())
    with database.read() as session:
        digest = version or version_queries.current(session).digest
    if digest is None:
        raise CommandError("no version is live; run: lethe init")
    try:
        manifest = export_version(database, audit, store, digest, folder)
    except FolderTaken as error:
        raise CommandError(str(error)) from error
    return (
        f"{folder} holds version {digest[:16]}, which covers epoch {manifest.forget_epoch}: whoever asks to be "
        "forgotten from now on stays in this copy; delete it then, and export again"
    )


def roll_back(version: str) -> str:
    """Returns what to tell the operator.

    Raises:
        CommandError, StoreError, DatabaseError: the message is one line that says why not.
    """
    database, audit, store = _open(get_settings())
    try:
        way = rollback.way_back(database, store, version)
        with Transaction.begin(database, audit) as transaction:
            done = rollback.roll_back(
                transaction, way, actor="lethe versions rollback", now=transaction.now()
            )
    except rollback.RollbackRefused as error:
        raise CommandError(f"{error} {_INSTEAD}") from error
    return f"version {version[:16]} is live as generation {done.generation}; its levels are unknown until: lethe levels"


def _open(settings: Settings) -> tuple[Database, AuditLog, Store]:
    log_warnings_only()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    store, audit = open_store(settings.store_url), AuditLog.of(settings)
    # A restored database may name versions that were destroyed since.
    join_timeline(database, audit, store, policy=load_request_policy(settings))
    return database, audit, store
