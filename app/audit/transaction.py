"""One transaction that changes what the service has promised, and says so in the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy.orm import Session

from app.audit.events import Event
from app.audit.log import AuditLog
from app.db.clock import database_now
from app.db.ledger import lock_ledger
from app.db.session import Database


class Transaction:
    """The session, the ledger, locked, and the log. Whoever is handed one holds the lock.

    Making one takes the lock: before anything else is locked, as everywhere.
    """

    def __init__(self, session: Session, audit: AuditLog) -> None:
        """
        Raises:
            DatabaseRewound, DatabaseUnconfirmed: as `lock_ledger` does.
        """
        self.session = session
        self.audit = audit
        self.ledger = lock_ledger(session)

    @classmethod
    @contextmanager
    def begin(cls, database: Database, audit: AuditLog, *, joining: bool = False) -> Iterator[Transaction]:
        """Committed when the block ends without an exception; see `Database.unit_of_work`."""
        with database.unit_of_work(joining=joining) as session:
            yield cls(session, audit)

    def now(self) -> datetime:
        """What the database's clock shows at this moment."""
        return database_now(self.session)

    def record(self, event: Event, *, actor: str = "worker") -> None:
        """Add one entry to the log."""
        self.audit.append(self.session, self.ledger, actor=actor, event=event)
