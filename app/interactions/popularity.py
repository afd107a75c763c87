"""Keeps the fallback's popularity list up to date, so that a forgotten user's events soon stop counting."""

from __future__ import annotations

import structlog

from app.db.errors import DatabaseUnavailable
from app.db.limits import be_patient
from app.db.session import Database
from app.interactions import queries as interactions
from app.refreshing import Refreshing
from app.serving import ServingEngine
from app.serving.fallback import popularity_fallback

log = structlog.get_logger()

REFRESH_SECONDS = 60.0
_PATIENCE_SECONDS = 120.0


class PopularityRefresher(Refreshing):
    """A thread that recomputes the list every minute, and when asked to: at once, or once it has rested."""

    def __init__(self, database: Database, engine: ServingEngine, limit: int) -> None:
        super().__init__("popularity", REFRESH_SECONDS)
        self._database = database
        self._engine = engine
        self._limit = limit

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
