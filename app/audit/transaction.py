"""A transaction that changes what the service has promised, records the change in the audit log, and tells others."""

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
from app.events.service import tell


class Transaction:
    """A session, the locked ledger and the audit log.

    The constructor locks the ledger, before anything else is locked. So code that gets a `Transaction` holds the lock.
    """

    def __init__(self, session: Session, audit: AuditLog) -> None:
        """Lock the ledger.

        Raises:
            DatabaseRewound, DatabaseUnconfirmed: as `lock_ledger` does.
        """
        self.session = session
        self.audit = audit
        self.ledger = lock_ledger(session)

    @classmethod
    @contextmanager
    def begin(cls, database: Database, audit: AuditLog, *, joining: bool = False) -> Iterator[Transaction]:
        """Begin a transaction. It is committed if the block ends without an exception; see `Database.unit_of_work`."""
        with database.unit_of_work(joining=joining) as session:
            yield cls(session, audit)

    def now(self) -> datetime:
        """The present time by the database's clock."""
        return database_now(self.session)

    def record(self, event: Event, *, actor: str = "worker") -> None:
        """Add one entry to the audit log, and the public events that follow from it."""
        recorded_at = self.audit.append(self.session, self.ledger, actor=actor, event=event)
        tell(self.session, self.ledger, event, recorded_at)
