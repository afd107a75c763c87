"""Users' histories: read from the database, kept in memory, and dropped as soon as the feed says that they changed."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.db.errors import DatabaseUnavailable
from app.db.models import EventSelection, Interaction, Ledger
from app.db.session import Database
from app.interactions import queries as interactions
from app.recommendations.history_cache import History, HistoryCache
from app.recommendations.prompt_reader import PromptReader
from app.refreshing import Refreshing
from app.serving import ServingEngine
from app.serving.clock import elapsed
from app.settings import Settings

log = structlog.get_logger()

_MOST_EVENTS = 500_000
# More new events than this at one look empty the cache: to name their subjects would take longer than to read again.
_MOST_NEW = 10_000


class Histories(Refreshing):
    """Gives histories, and follows what changes them in a thread.

    Three things change a history: an event is stored, a request selects events (or is lifted), and the database is
    restored. The thread looks for all three every ``every_seconds``, and a history that is kept counts only while the
    last look is younger than ``lease_seconds``. This replica's own writes are told by `forget`, before they are
    answered. A suppressed subject's history goes with their answers (`ServingEngine.when_purged`).

    Args:
        index_of: the index of an item id; None if the catalogue lacks it.
        event: the event of an item with its rating, where the model needs ratings; None where it does not.
        limit: how many of a user's newest events are read.
        taken_down: returns the indices of items that were taken down; at once.
    """

    def __init__(
        self,
        database: Database,
        reader: PromptReader,
        *,
        index_of: Callable[[str], int | None],
        event: Callable[[int, float | None], int] | None,
        limit: int,
        taken_down: Callable[[], frozenset[int]],
        every_seconds: float,
        lease_seconds: float,
    ) -> None:
        super().__init__("histories", every_seconds)
        self._database = database
        self._reader = reader
        self._index_of = index_of
        self._event = event
        self._limit = limit
        self._taken_down = taken_down
        self.cache = HistoryCache(_MOST_EVENTS, lease_seconds)
        self._timeline: str | None = None
        self._epoch = -1
        self._newest = -1

    @classmethod
    def of(
        cls, settings: Settings, database: Database, reader: PromptReader, engine: ServingEngine
    ) -> Histories:
        """Those that the engine ranks for. A suppressed subject's goes with their answers."""
        made = cls(
            database,
            reader,
            index_of=engine.catalogue.index,
            event=engine.event if engine.needs_ratings else None,
            limit=engine.config.history_limit,
            taken_down=lambda: engine.taken_down,
            every_seconds=settings.feed_poll_seconds,
            lease_seconds=settings.feed_lease_seconds,
        )
        engine.when_purged(lambda subject: made.cache.forget([subject]))
        return made

    async def read(self, subject_hmac: str) -> History:
        """The subject's newest events.

        Raises:
            DatabaseUnavailable: it is not in memory, and the database does not answer in time.
        """
        kept = self.cache.get(subject_hmac)
        if kept is not None:
            if self._taken_down().isdisjoint(kept.items):
                return kept
            # The database hides events of an item that was taken down.
            self.cache.forget([subject_hmac])
        reading = self.cache.begin(subject_hmac)
        try:
            history = await self._reader.read_soon(lambda session: self._read(session, subject_hmac))
        except BaseException:
            self.cache.drop(reading)
            raise
        self.cache.keep(reading, history)
        return history

    def refresh(self) -> None:
        """Drop what has changed since the last look. If the database is down, what is kept becomes too old."""
        # Nothing is kept: the next look tells all that changes until then.
        if self._newest >= 0 and not self.cache.in_use:
            return
        started = elapsed()
        try:
            with self._database.read() as session:
                self._look(session)
        except DatabaseUnavailable:
            return
        self.cache.looked(started)

    def _look(self, session: Session) -> None:
        # The epoch first: a selection that is committed in between is told now and once more at the next look.
        epoch, timeline = session.execute(select(Ledger.epoch, Ledger.timeline)).one()
        newest = session.scalar(select(func.max(Interaction.id))) or 0
        stored = session.execute(
            select(Interaction.id, Interaction.subject_hmac)
            .where(Interaction.id > self._newest)
            .order_by(Interaction.id)
            .limit(_MOST_NEW)
        ).all() if self._newest >= 0 else []  # fmt: skip
        selected = session.scalars(
            select(EventSelection.subject_hmac).where(
                or_(EventSelection.epoch > self._epoch, EventSelection.lifted_epoch > self._epoch)
            )
        ).all() if epoch != self._epoch else []  # fmt: skip
        first = self._newest < 0
        # The newest event may have been erased, or the database set back: then ids may be used again.
        set_back = timeline != self._timeline or epoch < self._epoch or newest < self._newest
        if first or set_back or len(stored) == _MOST_NEW:
            self.cache.clear()
        else:
            self.cache.forget({*(row.subject_hmac for row in stored), *selected})
        self._timeline, self._epoch = timeline, epoch
        self._newest = newest if first or set_back else max([self._newest, *(row.id for row in stored)])

    def _read(self, session: Session, subject_hmac: str) -> History:
        if self._event is None:
            items = interactions.newest_items(session, subject_hmac, limit=self._limit)
            known = tuple(index for item in items if (index := self._index_of(item)) is not None)
            return History(known, known)
        rated = interactions.newest_rated_items(session, subject_hmac, limit=self._limit)
        events = [(index, rating) for item, rating in rated if (index := self._index_of(item)) is not None]
        if all(rating is None for _, rating in events):
            return History((), ())
        return History(
            tuple(item for item, _ in events), tuple(self._event(item, rating) for item, rating in events)
        )
