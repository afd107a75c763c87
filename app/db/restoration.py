"""Teaching a restored database whom it had forgotten, before anything serves, trains or hands out an epoch."""

from __future__ import annotations

import structlog

from app.db import forget_requests, interactions
from app.db.audit import AuditLog
from app.db.ledger import lock_ledger
from app.db.session import Database
from model_store import Store

log = structlog.get_logger()


def replay_journal(database: Database, audit: AuditLog, store: Store) -> int:
    """Suppress and queue again whoever the erasure journal knows and this database does not (invariant I10).

    Every process does this before it works: the one that starts first on a restored database must not be the one
    that trains on, or serves, somebody who had been forgotten.

    Returns:
        How many requests were accepted again.

    Raises:
        StoreError: the journal cannot be read; going on without it could bring somebody back.
    """
    entries = list(store.journal())
    if not entries:
        return 0
    with database.unit_of_work() as session:
        # Every epoch of the journal is taken for good, also those whose rows the backup does not hold.
        ledger = lock_ledger(session)
        ledger.epoch = max(ledger.epoch, entries[-1].epoch)
        known = interactions.suppressed_subjects(session)
    unknown = [entry for entry in entries if entry.subject_hmac not in known]
    readopted = 0
    for entry in unknown:
        with database.unit_of_work() as session:
            readopted += forget_requests.readopt(session, audit, entry)
    if readopted:
        log.warning("journal.readopted", requests=readopted)
    return readopted
