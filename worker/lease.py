"""Keeps a run's lease alive while the worker computes, and notices the loss of the lease."""

from __future__ import annotations

import time

from sqlalchemy.orm import Session

from app.db.clock import database_now
from app.db.errors import FenceLost
from app.db.session import Database
from app.runs import service as runs
from app.runs.service import Claim
from app.settings import Settings
from worker.heartbeat import Heartbeat


class Lease(Heartbeat):
    """A context manager around the work on one claim. `note` sets the progress that the heartbeat reports.

    Attributes:
        cut_off_at: reading of `time.monotonic` at which the worker's own limit ends the work on this claim, however
            long the lease is kept alive.
    """

    def __init__(self, database: Database, claim: Claim, settings: Settings) -> None:
        super().__init__(database, settings, "heartbeat", fence=claim.fence)
        self._claim = claim
        self.cut_off_at = time.monotonic() + settings.run_soft_limit_seconds
        self._progress: str | None = None

    def note(self, progress: str) -> None:
        """Set how far the run is; the next heartbeat records it."""
        self._progress = progress[:120]

    def check(self) -> None:
        """
        Raises:
            FenceLost: another worker holds the run now.
        """
        if self.lost():
            raise FenceLost

    def renew(self, session: Session) -> bool:
        """Under the claim's fence, which is lower than that of any later claim."""
        until = database_now(session) + self._lasts
        return runs.renew(
            session, self._claim.run_id, self._claim.fence, until=until, progress=self._progress
        )
