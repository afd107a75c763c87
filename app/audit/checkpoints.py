"""Writes checkpoints of the audit log to the store, which somebody with access to the database alone cannot change.

No request waits for a checkpoint: the worker writes one when it starts and after each run, and `lethe init` writes one.
For entries after the last checkpoint, there is no evidence but the database.
"""

from __future__ import annotations

import structlog
from sqlalchemy import select

from app.audit import tree
from app.audit.log import AuditLog
from app.db.models import AuditEntry, Ledger
from app.db.session import Database
from model_store import Checkpoint, Store

log = structlog.get_logger()


def write_checkpoint(database: Database, audit: AuditLog, store: Store) -> Checkpoint | None:
    """Record the present end of the log in the store. Returns None if there is nothing new, or nothing to record.

    If the log contradicts the last checkpoint, no new one is written: the newest checkpoint of the timeline must go on
    to show the contradiction.

    Raises:
        StoreError: the store cannot be written or read.
        DatabaseUnavailable: the database does not answer.
    """
    # Proofs are asked for later, and then little of the tree is missing.
    try:
        tree.grow(database)
    except tree.TreeDamaged:
        log.error("audit.tree_damaged")
    # Read the store first: everything in it was in the database before.
    timeline = store.newest_timeline()
    last = None if timeline is None else store.newest_checkpoints().get(timeline.number)
    with database.read(snapshot=True) as session:
        ledger = session.get_one(Ledger, 1)
        if timeline is None or ledger.timeline != timeline.token:
            # The next process that joins starts a timeline.
            return None
        if last is not None:
            mac = session.scalar(select(AuditEntry.mac).where(AuditEntry.sequence == last.sequence))
            if mac != last.head:
                log.error("audit.contradicted", timeline=last.timeline, sequence=last.sequence)
                return None
        if ledger.audit_sequence == (0 if last is None else last.sequence):
            return None
        checkpoint = audit.checkpoint(timeline.number, ledger.audit_sequence, ledger.audit_head)
    if not store.put_checkpoint(checkpoint):
        log.error("audit.contradicted", timeline=checkpoint.timeline, sequence=checkpoint.sequence)
        return None
    return checkpoint
