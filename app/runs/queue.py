"""Dispatching: a message tells a worker which run to look at. If it is lost, a sweeper sends it again."""

from __future__ import annotations

import time
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from app.broker import RUN_TASK, celery_options
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.errands import Errands
from app.runs import service as runs
from app.settings import Settings

log = structlog.get_logger()

_BROKER_SECONDS = 4.0
_STOP_SECONDS = 3.0
# At most one forget run and one consolidation wait at a time.
_RUNS_REMEMBERED = 4


class RunQueue:
    """Sends run ids to the workers, in a thread of its own. Never raises if the broker is down.

    If the broker accepts connections and never answers, only the thread waits.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._celery = Celery("lethe", set_as_current=False)
        self._celery.conf.update(_impatient(celery_options(settings)))
        self._database = database
        self._messages: Errands[None] = Errands("dispatch", self._send)
        self._pause = settings.redispatch_seconds
        self._sent: dict[str, float] = {}

    def start(self) -> None:
        self._messages.start()

    def dispatch(self, run_id: str) -> None:
        """Send a message and record that it was sent. Returns at once. Call after the commit, never in the transaction.

        A run gets no second message while one waits or was sent a moment ago. One is enough, because the run's row has
        all its requests, and hundreds of messages about one run would delay the next run.
        """
        if time.monotonic() - self._sent.get(run_id, -self._pause) >= self._pause:
            self._messages.add(run_id, None)

    def stop(self) -> None:
        """Give waiting messages a moment. The sweeper sends those that are left."""
        if self._messages.stop(_STOP_SECONDS):
            self._celery.close()

    def _send(self, run_id: str, _value: None) -> None:
        try:
            self._celery.send_task(RUN_TASK, args=[run_id], retry=False)
        except (OperationalError, OSError) as error:
            log.warning("broker.unavailable", run=run_id, error=type(error).__name__)
            return
        self._sent = {run_id: time.monotonic(), **dict(list(self._sent.items())[:_RUNS_REMEMBERED])}
        try:
            with self._database.unit_of_work() as session:
                runs.mark_dispatched(session, run_id, database_now(session))
        except DatabaseUnavailable:
            log.warning("run.dispatch_not_recorded", run=run_id)


def _impatient(options: dict[str, Any]) -> dict[str, Any]:
    """Options for a dispatch: one try and short time-outs, because the sweeper sends it again. Workers wait longer."""
    transport = {**options["broker_transport_options"], "max_retries": 0}
    scheme = options["broker_url"].partition("://")[0]
    if scheme in ("redis", "rediss"):
        transport |= {"socket_timeout": _BROKER_SECONDS, "socket_connect_timeout": _BROKER_SECONDS}
    elif scheme in ("amqp", "amqps"):
        transport |= {"read_timeout": _BROKER_SECONDS, "write_timeout": _BROKER_SECONDS}
    return {**options, "broker_transport_options": transport, "broker_connection_timeout": _BROKER_SECONDS}
