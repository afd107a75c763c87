"""How far the audit log has come, kept in the store, where whoever may only write to the database cannot reach it.

Written off the path of every request: by the worker when it starts and after each run, and by `lethe init`. The log's
entries after the last checkpoint are vouched for by the database alone.
"""

from __future__ import annotations

import structlog
from sqlalchemy import select

from app.audit.log import AuditLog
from app.db.models import AuditEntry, Ledger
from app.db.session import Database
from model_store import Checkpoint, Store

log = structlog.get_logger()


def write_checkpoint(database: Database, audit: AuditLog, store: Store) -> Checkpoint | None:
    """Have the store vouch for the log as it stands; None where there is nothing new, or nothing to vouch for.

    A log that does not go on from the last checkpoint gets no other: the newest one of a timeline must stay one that
    shows it.

    Raises:
        StoreError: the store cannot be written or read.
        DatabaseUnavailable: nobody answers.
    """
    # The store first: what is said there was in the database before.
    timeline = store.newest_timeline()
    last = None if timeline is None else store.newest_checkpoints().get(timeline.number)
    with database.read(snapshot=True) as session:
        ledger = session.get_one(Ledger, 1)
        if timeline is None or ledger.timeline != timeline.token:
            # Whoever joins next starts a timeline.
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
