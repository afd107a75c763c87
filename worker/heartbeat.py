"""A lease that a thread renews while a computation lasts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.orm import Session

from app.db.session import Database
from app.settings import Settings

log = structlog.get_logger()


class Heartbeat(ABC):
    """A context manager. Each beat shows that the process lives.

    A lost lease does not stop the computation by force: `lost` turns true, loops that check it stop, and what a process
    without the lease writes is refused anyway.

    Args:
        name: name of the thread.
        logged: what the log says of the lease.

    Attributes:
        missed_beats: whether a heartbeat could not be recorded. If the lease lapses then, its holder is not to blame.
    """

    def __init__(self, database: Database, settings: Settings, name: str, **logged: object) -> None:
        self.missed_beats = False
        self._database = database
        self._log = log.bind(**logged)
        self._lasts = timedelta(seconds=settings.lease_seconds)
        self._interval = settings.heartbeat_seconds
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def lost(self) -> bool:
        """Whether another process has the lease now, or nobody may have it any more."""
        return self._lost.is_set()

    @abstractmethod
    def renew(self, session: Session) -> bool:
        """Renew the lease, and say whether this process still has it."""

    def _beat(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                with self._database.unit_of_work() as session:
                    held = self.renew(session)
            except Exception as error:  # noqa: BLE001  (a heartbeat that stops silently costs the whole computation)
                # The lease may lapse until the next renewal, which then finds that another process has it.
                self._log.warning("lease.not_renewed", error=type(error).__name__)
                self.missed_beats = True
                continue
            if not held:
                self._log.warning("lease.lost")
                self._lost.set()
                return
