"""Keeps the fallback's popularity list up to date, so that a forgotten user's events soon stop counting."""

from __future__ import annotations

import threading

import structlog

from app.db.errors import DatabaseUnavailable
from app.db.limits import be_patient
from app.db.session import Database
from app.interactions import queries as interactions
from app.serving import ServingEngine
from app.serving.fallback import popularity_fallback

log = structlog.get_logger()

REFRESH_SECONDS = 60.0
_PATIENCE_SECONDS = 120.0


class PopularityRefresher:
    """A thread that recomputes the list every minute, and at once when asked to."""

    def __init__(self, database: Database, engine: ServingEngine, limit: int) -> None:
        self._database = database
        self._engine = engine
        self._limit = limit
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="popularity", daemon=True)

    def start(self) -> None:
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def request(self) -> None:
        """Ask the thread to refresh soon."""
        self._wake.set()

    def refresh(self) -> None:
        """Compute the list anew, without suppressed subjects' events. If the database is down, keep the old list."""
        try:
            with self._database.read() as session:
                # The query reads all events, which takes time.
                be_patient(session, _PATIENCE_SECONDS)
                items = interactions.popularity(session, limit=self._limit)
        except DatabaseUnavailable:
            log.warning("popularity.not_refreshed")
            return
        self._engine.replace_fallback(popularity_fallback(self._engine.catalogue, items))

    def _loop(self) -> None:
        while True:
            self._wake.wait(REFRESH_SECONDS)
            self._wake.clear()
            if self._stopping:
                return
            self.refresh()
