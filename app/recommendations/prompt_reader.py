"""Reading for whoever cannot wait: a recommendation has its fallback in memory, and the database may hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session

from app.db.errors import DatabaseUnavailable
from app.db.session import Database

log = structlog.get_logger()

Found = TypeVar("Found")
# As many as the server has threads for requests would only wait for each other.
_THREADS = 16
_PAUSE_SECONDS = 0.5


class PromptReader:
    """Asks the database in threads of its own and waits for the answer for so long and no longer.

    Once it has not answered, nobody waits for it: a thread repeats the question that was left without an answer until
    it gets one, and until then every other is refused at once.

    Args:
        seconds: how long one caller waits.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_THREADS, "prompt-reader")
        self._lock = threading.Lock()
        self._silent = False
        self._closed = threading.Event()

    def read(self, question: Callable[[Session], Found]) -> Found:
        """
        Raises:
            DatabaseUnavailable: no answer in time, or none to the question before.
        """
        if self._silent:
            raise DatabaseUnavailable
        asked = self._threads.submit(self._ask, question)
        try:
            return asked.result(self._seconds)
        except (TimeoutError, DatabaseUnavailable) as error:
            asked.cancel()
            self._repeat(question)
            raise DatabaseUnavailable from error

    def close(self) -> None:
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, question: Callable[[Session], Found]) -> Found:
        with self._database.read() as session:
            return question(session)

    def _repeat(self, question: Callable[[Session], object]) -> None:
        with self._lock:
            if self._silent or self._closed.is_set():
                return
            self._silent = True
        log.warning("database.silent")
        threading.Thread(target=self._until_answered, args=(question,), name="silence", daemon=True).start()

    def _until_answered(self, question: Callable[[Session], object]) -> None:
        while not self._closed.wait(_PAUSE_SECONDS):
            try:
                self._ask(question)
            except DatabaseUnavailable:
                continue
            except Exception as error:  # noqa: BLE001  (it is answered; whoever asks next meets the defect)
                log.error("database.answered", error=type(error).__name__)
            self._silent = False
            log.info("database.answers")
            return
