"""Ringing the bell: telling a worker which run to look at. Losing a ring loses nothing, a sweeper rings again."""

from __future__ import annotations

from datetime import datetime

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from app.broker import RUN_TASK, celery_options
from app.db import runs
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.settings import Settings

log = structlog.get_logger()


class RunQueue:
    """Sends run ids to the workers; never raises for a broker that is down."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._celery = Celery("lethe", set_as_current=False)
        self._celery.conf.update(celery_options(settings))
        self._database = database

    def ring(self, run_id: str, now: datetime) -> None:
        """Send one message and note that it was sent. Called after the commit, never inside it."""
        try:
            self._celery.send_task(RUN_TASK, args=[run_id], retry=False)
        except (OperationalError, OSError) as error:
            log.warning("broker.unavailable", run=run_id, error=type(error).__name__)
            return
        try:
            with self._database.unit_of_work() as session:
                runs.mark_dispatched(session, run_id, now)
        except DatabaseUnavailable:
            log.warning("run.dispatch_not_recorded", run=run_id)

    def close(self) -> None:
        self._celery.close()
