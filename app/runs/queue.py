"""Dispatching: one message tells a worker which run to look at. A lost one loses nothing, a sweeper sends it again."""

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
        self._messages: Errands[None] = Errands("dispatch", self._send)
        self._pause = settings.redispatch_seconds
        self._sent: dict[str, float] = {}

    def start(self) -> None:
        self._messages.start()

    def dispatch(self, run_id: str) -> None:
        """Have one message sent, and noted as sent; returns at once. Called after the commit, never inside it.

        A run whose message is on its way, or was sent a moment ago, gets no second one: all its requests are in the one
        row it points to, and a worker that reads hundreds of messages about it comes to the next run that much later.
        """
        if time.monotonic() - self._sent.get(run_id, -self._pause) >= self._pause:
            self._messages.add(run_id, None)

    def stop(self) -> None:
        """Give what waits a moment; what is not sent by then the sweeper sends."""
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
    """The same broker, given up after seconds and one try: a worker waits for its broker, a dispatch is sent again."""
    transport = {**options["broker_transport_options"], "max_retries": 0}
    scheme = options["broker_url"].partition("://")[0]
    if scheme in ("redis", "rediss"):
        transport |= {"socket_timeout": _BROKER_SECONDS, "socket_connect_timeout": _BROKER_SECONDS}
    elif scheme in ("amqp", "amqps"):
        transport |= {"read_timeout": _BROKER_SECONDS, "write_timeout": _BROKER_SECONDS}
    return {**options, "broker_transport_options": transport, "broker_connection_timeout": _BROKER_SECONDS}
