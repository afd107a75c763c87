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
        self._now: datetime | None = None

    @classmethod
    @contextmanager
    def begin(cls, database: Database, audit: AuditLog, *, joining: bool = False) -> Iterator[Transaction]:
        """Begin a transaction. It is committed if the block ends without an exception; see `Database.unit_of_work`."""
        with database.unit_of_work(joining=joining) as session:
            yield cls(session, audit)

    def now(self) -> datetime:
        """The time of this transaction by the database's clock, read once and after the lock."""
        if self._now is None:
            self._now = database_now(self.session)
        return self._now

    def record(self, event: Event, *, actor: str = "worker") -> None:
        """Add one entry to the audit log, and the public events that follow from it."""
        now = self.now()
        self.audit.append(self.session, self.ledger, actor=actor, event=event, recorded_at=now)
        tell(self.session, self.ledger, event, now)
