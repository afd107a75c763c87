"""Checks whether the database is still the one that this process joined."""

from __future__ import annotations

from app.db.models import Ledger
from app.db.session import Database
from app.versions.floor import is_sunk
from model_store import Store


def timeline_stands(database: Database, store: Store) -> bool:
    """Whether this process may go on without replaying the journal. A quick check, which reads no entry.

    Raises:
        StoreError: the store cannot be read.
        DatabaseUnavailable: the database does not answer.
    """
    newest, epochs, floor = store.newest_timeline(), store.journal_epochs(), store.erasure_floor()
    seen = database.timeline.epoch
    with database.read() as session:
        ledger = session.get_one(Ledger, 1)
        sunk = is_sunk(session, store, floor)
    return (
        not sunk
        and newest is not None
        and newest.token == ledger.timeline
        and (not epochs or epochs[-1] <= ledger.epoch)
        and database.timeline.agrees(ledger.timeline, ledger.epoch, seen=seen)
    )
