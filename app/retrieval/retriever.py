"""The built-in retriever: co-visit counts over everybody who is not suppressed, kept up to date in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.errors import DatabaseUnavailable
from app.db.limits import be_patient
from app.db.session import Database
from app.interactions import queries as interactions
from app.refreshing import Refreshing
from app.retrieval.co_visits import CoVisits
from app.selections import queries as selections
from app.serving.ranker import Catalogue
from app.suppressions import queries as suppressions
from app.takedowns import queries as takedowns

log = structlog.get_logger()

# How often to look for new suppressions, and how often to count everything anew.
LOOK_SECONDS = 1.0
RECOUNT_SECONDS = 300.0
# For at most this long, counts that still include a suppressed subject may serve.
MOST_SECONDS_BEHIND = 10.0
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Retrieved:
    """Item indices, best first, and the name of the retriever: `co-visits:` with the numbers counted and left out."""

    items: tuple[int, ...]
    retriever: str


class Retriever(Refreshing):
    """Finds candidates. Safe for any thread.

    Args:
        suppressed: returns all subjects whom this process knows to be suppressed.
        taken_down: returns the indices of all items that this process knows to be taken down.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        suppressed: Callable[[], frozenset[str]],
        taken_down: Callable[[], frozenset[int]] = frozenset,
    ) -> None:
        super().__init__("retriever", LOOK_SECONDS)
        self._database = database
        self._catalogue = catalogue
        self._suppressed = suppressed
        self._taken_down = taken_down
        self._lock = threading.Lock()
        self._counts = CoVisits()
        self._counted = 0
        # Subjects in the counts (their hashes only, to save memory), suppressed subjects left out, and the watermark.
        self._members: set[int] = set()
        self._left_out: frozenset[str] = frozenset()
        self._watermark = 0
        # The last selection of single events and the last takedown that the counts take into account, by their epochs.
        self._hidden = (0, 0)
        self._recounted = float("-inf")
        # Since when the counts have included a suppressed subject; None if they include none.
        self._behind_since: float | None = None

    def candidates(self, history: Sequence[int], count: int) -> Retrieved:
        """At most `count` candidates for a history of item indices, oldest first.

        Returns no candidates if the counts have included a suppressed subject for longer than `MOST_SECONDS_BEHIND`.
        """
        with self._lock:
            name = f"co-visits:{self._counted}-{len(self._left_out)}"
            behind = self._behind_since
            if behind is not None and time.monotonic() - behind > MOST_SECONDS_BEHIND:
                return Retrieved((), name)
            # The counts may still include events with an item that was taken down just now.
            return Retrieved(tuple(self._counts.candidates(history, count, self._taken_down())), name)

    def refresh(self) -> None:
        """Subtract suppressed subjects from the counts. From time to time, count everything anew."""
        try:
            missing = self._subtract_suppressed()
            # Single events cannot be subtracted, because pairs are counted.
            if (
                missing
                or self._newest_hidden() != self._hidden
                or time.monotonic() - self._recounted >= RECOUNT_SECONDS
            ):
                self._recount()
        except DatabaseUnavailable:
            log.warning("retriever.not_refreshed")

    def _subtract_suppressed(self) -> bool:
        """Subtract subjects that were suppressed since the last look.

        Returns:
            Whether a subject could not be subtracted because events are erased or hidden. Then a recount is due.
        """
        suppressed = self._suppressed()
        new = suppressed - self._left_out
        if not new:
            self._behind_since = None
            return False
        if self._behind_since is None:
            self._behind_since = time.monotonic()
        if self._newest_hidden() != self._hidden:
            # What is stored and shown of a subject is not what was counted.
            return True
        counted = {subject for subject in new if hash(subject) in self._members}
        with self._lock:
            self._left_out = self._left_out.union(new - counted)
        missing = False
        for chunk in in_chunks(counted):
            with self._database.read() as session:
                found = interactions.histories(session, up_to=self._watermark, only=chunk)
            with self._lock:
                for subject, items in found.items():
                    self._counts.remove(self._indices(items))
                    self._members.discard(hash(subject))
                self._counted -= len(found)
                self._left_out = self._left_out.union(found)
            missing = missing or len(found) < len(chunk)
        if not missing:
            self._behind_since = None
        return missing

    def _recount(self) -> None:
        """Count everybody anew from one snapshot, without subjects that are suppressed here or in the database."""
        known = self._suppressed()
        counts, members, looked = CoVisits(), set[int](), time.monotonic()
        with self._database.read(snapshot=True) as session:
            # The query reads all events, which takes time.
            be_patient(session, _PATIENCE_SECONDS)
            left_out = known.union(suppressions.suppressed_subjects(session))
            hidden = _newest_hidden(session)
            watermark = interactions.watermark(session)
            for subject, items in interactions.histories_without(session, left_out, up_to=watermark):
                counts.add(self._indices(items))
                members.add(hash(subject))
                if time.monotonic() - looked > LOOK_SECONDS:
                    # Keep the counts that serve meanwhile up to date, because the recount takes long.
                    self._subtract_suppressed()
                    looked = time.monotonic()
        with self._lock:
            self._counts, self._counted, self._left_out = counts, len(members), frozenset(left_out)
            self._members, self._watermark, self._hidden = members, watermark, hidden
        self._recounted = time.monotonic()
        self._behind_since = None

    def _newest_hidden(self) -> tuple[int, int]:
        with self._database.read() as session:
            return _newest_hidden(session)

    def _indices(self, items: Sequence[str]) -> list[int]:
        return [index for item in items if (index := self._catalogue.index(item)) is not None]


def _newest_hidden(session: Session) -> tuple[int, int]:
    """The epochs of the last selection and of the last takedown: each of them hides events."""
    return selections.newest_epoch(session), takedowns.newest_epoch(session)
