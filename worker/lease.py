"""Keeps a run's lease alive while the worker computes, and notices the loss of the lease."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import TracebackType

import structlog

from app.db.clock import database_now
from app.db.errors import FenceLost
from app.db.session import Database
from app.runs import service as runs
from app.runs.service import Claim
from app.settings import Settings

log = structlog.get_logger()


class Lease:
    """A context manager around the work on one claim.

    The heartbeat shows that the process lives; `note` sets the progress that it reports. A lost lease does not stop the
    computation by force: `lost` turns true, loops that check it stop, and the fence refuses every write anyway.

    Attributes:
        cut_off_at: reading of `time.monotonic` at which the worker's own limit ends the work on this claim, however
            long the lease is kept alive.
        missed_beats: whether a heartbeat could not be recorded. If the lease lapses then, the run is not to blame.
    """

    def __init__(self, database: Database, claim: Claim, settings: Settings) -> None:
        self._database = database
        self._claim = claim
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._interval = settings.heartbeat_seconds
        self.cut_off_at = time.monotonic() + settings.run_soft_limit_seconds
        self.missed_beats = False
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._progress: str | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def note(self, progress: str) -> None:
        """Set how far the run is; the next heartbeat records it."""
        self._progress = progress[:120]

    def lost(self) -> bool:
        """Whether another worker holds the run now."""
        return self._lost.is_set()

    def check(self) -> None:
        """
        Raises:
            FenceLost: another worker holds the run now.
        """
        if self.lost():
            raise FenceLost

    def _beat(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                with self._database.unit_of_work() as session:
                    held = runs.renew(
                        session,
                        self._claim.run_id,
                        self._claim.fence,
                        until=database_now(session) + self._lease,
                        progress=self._progress,
                    )
            except Exception as error:  # noqa: BLE001  (a heartbeat that stops silently costs the whole run)
                # The lease may lapse until the next renewal, which then finds a higher fence.
                log.warning("lease.not_renewed", error=type(error).__name__)
                self.missed_beats = True
                continue
            if not held:
                log.warning("lease.lost", fence=self._claim.fence)
                self._lost.set()
                return
