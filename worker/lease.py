"""Keeps a run's lease alive while the worker computes, and notices the loss of the lease."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session

from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable, FenceLost
from app.db.session import Database
from app.runs import notes
from app.runs import service as runs
from app.runs.service import Claim
from app.settings import Settings
from unlearning import Progress
from unlearning.progress import OnStep
from worker import notebook
from worker.heartbeat import Heartbeat


class Lease(Heartbeat):
    """A context manager around the work on one claim. `note` sets the progress that the heartbeat reports.

    Attributes:
        cut_off_at: reading of `time.monotonic` at which the worker's own limit ends the work on this claim, however
            long the lease is kept alive.
        notebook: what the heartbeat records of the work, for people who watch.
    """

    def __init__(self, database: Database, claim: Claim, settings: Settings) -> None:
        super().__init__(database, settings, "heartbeat", fence=claim.fence)
        self._claim = claim
        self.cut_off_at = time.monotonic() + settings.run_soft_limit_seconds
        self.notebook = notebook.Notebook()
        self._progress: str | None = None

    def __enter__(self) -> Self:
        notebook.begin(self.notebook)
        self.notebook.memory()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        notebook.end()
        super().__exit__(kind, error, trace)
        self.notebook.memory()
        # What was noted since the last heartbeat. It is worth no wait and no error.
        with suppress(DatabaseUnavailable):
            if waiting := self.notebook.take():
                with self._database.unit_of_work() as session:
                    self._write(session, waiting)

    def note(self, progress: str) -> None:
        """Set how far the run is; the next heartbeat records it."""
        self._progress = progress[:120]

    def following(self, method: str) -> OnStep:
        """What a computation of this method reports its steps to."""

        def follow(report: Progress) -> None:
            self.note(f"{method}: {report.stage} {report.step}/{report.steps}")
            self.notebook.loss(method, report)

        return follow

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
        held = runs.renew(
            session, self._claim.run_id, self._claim.fence, until=until, progress=self._progress
        )
        if held:
            self.notebook.memory()
            self._write(session, self.notebook.take())
        return held

    def _write(self, session: Session, waiting: list[notes.Note]) -> None:
        notes.write(session, self._claim.run_id, self._claim.fence, waiting)
