"""The right to make levels: a lease on one row, so that no two processes fit the same parts at the same time.

It works like a run's lease.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from types import TracebackType

from sqlalchemy.orm import Session

from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.levels import makings
from app.levels.makings import Elsewhere
from app.settings import Settings
from unlearning import Progress
from worker.heartbeat import Heartbeat


class Making(Heartbeat):
    """A context manager around the making of levels. Call `take` before entering it.

    Attributes:
        maker: its name in the database.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database, settings, "level-making", lease="levels")
        self.maker = uuid.uuid4().hex
        self._done, self._parts = 0, 0

    def take(self, session: Session, *, watermark: int, smoothing: float) -> Elsewhere | None:
        """Take the right to make these levels. None on success; otherwise the progress of the process that has it."""
        return makings.take(session, self.maker, watermark=watermark, smoothing=smoothing, lease=self._lasts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        # If the database is unavailable, the lease lapses by itself.
        with suppress(DatabaseUnavailable), self._database.unit_of_work() as session:
            makings.release(session, self.maker)

    def note(self, progress: Progress) -> None:
        """Set the progress; waiting processes read it after the next heartbeat."""
        self._done, self._parts = progress.step, progress.steps

    def renew(self, session: Session) -> bool:
        """Renew the right, and record the progress."""
        return makings.renew(session, self.maker, lease=self._lasts, done=self._done, parts=self._parts)
