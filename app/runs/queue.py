"""Ringing the bell: telling a worker which run to look at. Losing a ring loses nothing, a sweeper rings again."""

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
# One forget run and one consolidation wait at a time.
_RUNS_REMEMBERED = 4


class RunQueue:
    """Sends run ids to the workers, in a thread of its own; never raises for a broker that is down.

    A broker may take connections and never answer. Then the thread waits, and nobody else does.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._celery = Celery("lethe", set_as_current=False)
        self._celery.conf.update(_impatient(celery_options(settings)))
        self._database = database
        self._bell: Errands[None] = Errands("bell", self._send)
        self._pause = settings.redispatch_seconds
        self._rung: dict[str, float] = {}

    def start(self) -> None:
        self._bell.start()

    def ring(self, run_id: str) -> None:
        """Have one message sent, and noted as sent; returns at once. Called after the commit, never inside it.

        A run that is being rung for, or was a while ago, is not rung for again: all its requests are in the one row it
        points to, and a worker that hears of it hundreds of times hears of the next run that much later.
        """
        if time.monotonic() - self._rung.get(run_id, -self._pause) >= self._pause:
            self._bell.add(run_id, None)

    def stop(self) -> None:
        """Give what waits a moment; what is not rung by then the sweeper rings."""
        if self._bell.stop(_STOP_SECONDS):
            self._celery.close()

    def _send(self, run_id: str, _value: None) -> None:
        try:
            self._celery.send_task(RUN_TASK, args=[run_id], retry=False)
        except (OperationalError, OSError) as error:
            log.warning("broker.unavailable", run=run_id, error=type(error).__name__)
            return
        self._rung = {run_id: time.monotonic(), **dict(list(self._rung.items())[:_RUNS_REMEMBERED])}
        try:
            with self._database.unit_of_work() as session:
                runs.mark_dispatched(session, run_id, database_now(session))
        except DatabaseUnavailable:
            log.warning("run.dispatch_not_recorded", run=run_id)


def _impatient(options: dict[str, Any]) -> dict[str, Any]:
    """The same broker, given up after seconds and one try: a worker waits for its broker, a ring is sent again."""
    transport = {**options["broker_transport_options"], "max_retries": 0}
    scheme = options["broker_url"].partition("://")[0]
    if scheme in ("redis", "rediss"):
        transport |= {"socket_timeout": _BROKER_SECONDS, "socket_connect_timeout": _BROKER_SECONDS}
    elif scheme in ("amqp", "amqps"):
        transport |= {"read_timeout": _BROKER_SECONDS, "write_timeout": _BROKER_SECONDS}
    return {**options, "broker_transport_options": transport, "broker_connection_timeout": _BROKER_SECONDS}
