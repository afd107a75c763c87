"""How the worker listens to its broker: nothing that it finds there stops it."""

from __future__ import annotations

import time
from typing import Any

import structlog
from celery.worker.consumer import Consumer

from app.broker import make_embedded_folders
from app.failures import SettingError
from app.settings import get_settings

log = structlog.get_logger()

# What Celery and kombu raise for a message that is no message: not JSON, half written, or of another shape; and for
# a folder of messages that is gone. They take it from the queue first, so it does not come again.
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OSError)
_PAUSE_SECONDS = 0.25


class PatientConsumer(Consumer):
    """Takes what a damaged message raises for a lost connection: it connects anew and goes on.

    Celery would end the worker, with exit code 0. The sweeper dispatches again what the message named.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lost: tuple[type[Exception], ...] = self.conninfo.connection_errors
        self.connection_errors = (*self._lost, *self.channel_errors, *_UNREADABLE)

    def on_connection_error_after_connected(self, error: Exception) -> None:
        if not isinstance(error, self._lost):
            # Not the message: whoever can write to the broker chose it.
            log.warning("message.unreadable", error=type(error).__name__)
            try:
                make_embedded_folders(get_settings())
            except SettingError as missing:
                log.warning("broker.unavailable", error=str(missing))
            # A queue full of them is worked off slowly: Celery takes more than five a second for a loop that fails.
            time.sleep(_PAUSE_SECONDS)
            error = ConnectionError(type(error).__name__)
        super().on_connection_error_after_connected(error)
