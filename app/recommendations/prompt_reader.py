"""Database reads with a time limit: the database may hang, and a recommendation can use the fallback instead."""

from __future__ import annotations

import asyncio
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
# Fewer than the server's threads for requests: more would only wait for each other.
_THREADS = 16
_PAUSE_SECONDS = 0.5


class PromptReader:
    """Queries the database in threads of its own, and waits a limited time for the answer.

    After one query without an answer, a thread repeats that query until it gets one. Until then, all other queries fail
    at once, so that nobody waits for a database that does not answer.

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
        """The answer to a query.

        Raises:
            DatabaseUnavailable: the answer did not come in time, or an earlier query is still without an answer.
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

    async def read_soon(self, question: Callable[[Session], Found]) -> Found:
        """Like `read`, for the event loop, which goes on meanwhile."""
        if self._silent:
            raise DatabaseUnavailable
        asked = self._threads.submit(self._ask, question)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(asked), self._seconds)
        except (TimeoutError, DatabaseUnavailable) as error:
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
            except Exception as error:  # noqa: BLE001  (the database has answered; the next reader gets the defect)
                log.error("database.answered", error=type(error).__name__)
            self._silent = False
            log.info("database.answers")
            return
