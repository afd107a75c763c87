"""The built-in retriever: co-visit counts over everybody who is not suppressed, kept up to date in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from app.db.errors import DatabaseUnavailable
from app.db.limits import be_patient
from app.db.session import Database
from app.interactions import queries as interactions
from app.retrieval.co_visits import CoVisits
from app.serving.ranker import Catalogue

log = structlog.get_logger()

# So often is looked whether somebody was suppressed elsewhere, and so often is everything counted anew.
LOOK_SECONDS = 1.0
RECOUNT_SECONDS = 300.0
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Retrieved:
    """Item indices, best first, and what found them: `co-visits:` and how many people it had counted and left out."""

    items: tuple[int, ...]
    retriever: str


class Retriever:
    """Finds candidates. Safe for any thread.

    Args:
        suppressed: everybody whom this process knows to be suppressed.
    """

    def __init__(
        self, database: Database, catalogue: Catalogue, suppressed: Callable[[], frozenset[str]]
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._suppressed = suppressed
        self._lock = threading.Lock()
        self._counts = CoVisits()
        self._counted = 0
        # Whom the counts do not hold, and up to which event the others are in them.
        self._left_out: frozenset[str] = frozenset()
        self._watermark = 0
        self._recounted = float("-inf")
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="retriever", daemon=True)

    def start(self) -> None:
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def request(self) -> None:
        """Look soon, in the thread, who is suppressed."""
        self._wake.set()

    def candidates(self, history: Sequence[int], count: int) -> Retrieved:
        """At most `count` candidates for a history of item indices, oldest first."""
        with self._lock:
            name = f"co-visits:{self._counted}-{len(self._left_out)}"
            return Retrieved(tuple(self._counts.candidates(history, count)), name)

    def refresh(self) -> None:
        """Subtract whom the counts still hold though they are suppressed; now and then count everything anew.

        The counts stay as they are if the database is down: nobody is served personally then for long.
        """
        suppressed = self._suppressed()
        new = suppressed - self._left_out
        try:
            if time.monotonic() - self._recounted >= RECOUNT_SECONDS or not self._subtract(new):
                self._recount(suppressed)
        except DatabaseUnavailable:
            log.warning("retriever.not_refreshed")

    def _subtract(self, subjects: Collection[str]) -> bool:
        """Whether the counts could be freed of these subjects: their events may be erased already."""
        if not subjects:
            return True
        with self._database.read() as session:
            found = interactions.histories(session, up_to=self._watermark, only=subjects)
        if set(found) != set(subjects):
            return False
        with self._lock:
            for items in found.values():
                self._counts.remove(self._indices(items))
            self._counted -= len(found)
            self._left_out = self._left_out.union(subjects)
        return True

    def _recount(self, suppressed: frozenset[str]) -> None:
        counts, counted = CoVisits(), 0
        with self._database.read() as session:
            # It reads every event there is.
            be_patient(session, _PATIENCE_SECONDS)
            watermark = interactions.watermark(session)
            for items in interactions.admitted_histories(session, up_to=watermark, without=suppressed):
                counts.add(self._indices(items))
                counted += 1
        with self._lock:
            self._counts, self._counted, self._left_out = counts, counted, suppressed
            self._watermark = watermark
        self._recounted = time.monotonic()

    def _indices(self, items: Sequence[str]) -> list[int]:
        return [index for item in items if (index := self._catalogue.index(item)) is not None]

    def _loop(self) -> None:
        while True:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            if self._stopping:
                return
            self.refresh()
