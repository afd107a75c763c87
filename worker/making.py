"""The right to make levels: a lease on one row, so that no two processes fit the same parts at the same time.

It works like a run's lease. The heartbeat shows that the process lives, a lost lease stops the computation at its next
check, and a process without the lease cannot write.
"""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from datetime import timedelta
from types import TracebackType

import structlog
from sqlalchemy.orm import Session

from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.levels import makings
from app.levels.makings import Elsewhere
from app.settings import Settings
from unlearning import Progress

log = structlog.get_logger()


class Making:
    """A context manager around the making of levels. Call `take` before entering it.

    Attributes:
        maker: its name in the database.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self.maker = uuid.uuid4().hex
        self._database = database
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._interval = settings.heartbeat_seconds
        self._stop, self._lost = threading.Event(), threading.Event()
        self._done, self._parts = 0, 0
        self._thread = threading.Thread(target=self._beat, name="level-making", daemon=True)

    def take(self, session: Session, *, watermark: int, smoothing: float) -> Elsewhere | None:
        """Take the right to make these levels. None on success; otherwise the progress of the process that has it."""
        return makings.take(session, self.maker, watermark=watermark, smoothing=smoothing, lease=self._lease)

    def __enter__(self) -> Making:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        # If the database is unavailable, the lease lapses by itself.
        with suppress(DatabaseUnavailable), self._database.unit_of_work() as session:
            makings.release(session, self.maker)

    def note(self, progress: Progress) -> None:
        """Set the progress; waiting processes read it after the next heartbeat."""
        self._done, self._parts = progress.step, progress.steps

    def lost(self) -> bool:
        """Whether another process makes the levels now, or nobody needs them any more."""
        return self._lost.is_set()

    def _beat(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                with self._database.unit_of_work() as session:
                    held = makings.renew(
                        session, self.maker, lease=self._lease, done=self._done, parts=self._parts
                    )
            except Exception as error:  # noqa: BLE001  (a heartbeat that stops silently costs the whole making)
                log.warning("levels.lease_not_renewed", error=type(error).__name__)
                continue
            if not held:
                log.warning("levels.lease_lost")
                self._lost.set()
                return
