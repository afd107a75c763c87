"""The worker's connection to its broker. No message can stop the worker, and each turn of its loop is noted."""

from __future__ import annotations

import time
from typing import Any

import structlog
from celery.worker.consumer import Consumer

from app.broker import make_embedded_folders
from app.failures import SettingError
from app.settings import get_settings
from worker.watchdog import watchdog

log = structlog.get_logger()

# What Celery and kombu raise for a damaged message (not JSON, half written, of another shape) and for a missing
# message folder. They take the message from the queue first, so it is not delivered again.
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OSError)
_PAUSE_SECONDS = 0.25
_TURN_SECONDS = 1.0


class PatientConsumer(Consumer):
    """A consumer that treats the error of a damaged message as a lost connection: it reconnects and goes on.

    Celery itself would end the worker with exit code 0. The sweeper dispatches the named run again.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lost: tuple[type[Exception], ...] = self.conninfo.connection_errors
        self.connection_errors = (*self._lost, *self.channel_errors, *_UNREADABLE)

    def perform_pending_operations(self) -> None:
        """Called with each turn of the loop for brokers that are no sockets."""
        watchdog.turned()
        super().perform_pending_operations()

    def register_with_event_loop(self, hub: Any) -> None:
        """Called when the loop for other brokers begins; its timers end with the connection."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(_TURN_SECONDS, watchdog.turned)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, and try again until it works. A broker that is away is waited for."""
        watchdog.waits()
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, error: Exception) -> None:
        """Called when the connection is lost, before everything that stood on it is ended and begun anew."""
        watchdog.waits()
        if not isinstance(error, self._lost):
            # Do not log the message: anybody who can write to the broker chose its text.
            log.warning("message.unreadable", error=type(error).__name__)
            try:
                make_embedded_folders(get_settings())
            except SettingError as missing:
                log.warning("broker.unavailable", error=str(missing))
            # Work off many damaged messages slowly: Celery treats more than five failures a second as a failing loop.
            time.sleep(_PAUSE_SECONDS)
            error = ConnectionError(type(error).__name__)
        super().on_connection_error_after_connected(error)
