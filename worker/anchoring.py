"""Copies two facts from the database into the store: the erasure floor, and how far the audit log has come."""

from __future__ import annotations

import structlog

from app.audit.checkpoints import write_checkpoint
from app.audit.log import AuditLog
from app.db.session import Database
from app.versions.floor import vouch_for_floor
from model_store import Store, StoreError

log = structlog.get_logger()


def anchor(database: Database, audit: AuditLog, store: Store) -> None:
    """Make the store vouch for the floor; no version is destroyed and no request completes before that.

    Raises:
        StoreError: the store does not vouch for the floor yet.
        DatabaseUnavailable: the database does not answer.
    """
    vouch_for_floor(database, store)
    anchor_log(database, audit, store)


def anchor_log(database: Database, audit: AuditLog, store: Store) -> None:
    """Write a checkpoint of the audit log. If the store fails, the next run or the next worker writes one.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    try:
        write_checkpoint(database, audit, store)
    except StoreError as error:
        log.warning("audit.checkpoint_late", error=type(error).__name__, detail=str(error))
