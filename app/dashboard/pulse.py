"""Whether anything that pages show has changed: looked up once per process for all open pages."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.models import Ledger, Replica, Run, RunStatus
from app.db.session import Database
from app.forget_requests import worklist
from app.runs.standing import standing

log = structlog.get_logger()

# What is in the audit log reaches the streams at most this long after its commit, plus the time of one look.
_GLANCE_SECONDS = 0.25
# What is not, such as a run's progress, is looked up at every third glance: that takes several queries.
_LOOK_SECONDS = 0.7
# Pages that are loaded within this time of a look get its mark.
_HOLDS_SECONDS = 0.9
# What only the clock changes: the counters of what is overdue are at most a minute late, the charts at most an hour.
_COUNTS_HOLD_SECONDS = 60
_HOUR_SECONDS = 3600
# A heartbeat in this time counts as the same as another: it tells a reader of a page nothing new.
_SILENCE_SECONDS = 10


class TooManyPages(Exception):
    """This process feeds as many open pages as it may."""


class Listener:
    """What one open page waits for: the newest mark. Made on the event loop; only `put` is called elsewhere."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self.ended = False

    def put(self) -> None:
        """Say that there is a new mark."""
        # The loop is closed if the server has stopped.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._changed.set)

    def end(self) -> None:
        """Let the stream end; the page connects again."""
        self.ended = True
        self._changed.set()

    async def wait(self, seconds: float) -> None:
        """Until there may be a new mark, and for at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()


class Pulse:
    """Makes the mark: a digest of all that changes what pages show. A thread looks while pages are open, and not else.

    Args:
        patience: as `app.runs.standing.standing` takes it.
        most: how many pages may be open at once.
    """

    def __init__(self, database: Database, patience: timedelta, *, most: int) -> None:
        self._database = database
        self._patience = patience
        self._most = most
        self._lock = threading.Lock()
        self._mark = ""
        self._made_at = float("-inf")
        self._end: tuple[int, int] | None = None
        self._counts: object = None
        self._counted_at = float("-inf")
        self._listening = threading.Condition()
        self._listeners: set[Listener] = set()
        self._told: tuple[str, bool] = ("", False)
        self._stopping = False
        self._thread = threading.Thread(target=self._look_on, name="pulse", daemon=True)
        self.failing = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._listening:
            self._stopping = True
            self._listening.notify_all()
        self._thread.join()

    @property
    def recent(self) -> str | None:
        """The last mark, if it still holds."""
        return self._mark if time.monotonic() - self._made_at < _HOLDS_SECONDS else None

    @property
    def latest(self) -> str:
        """The last mark; empty before the first look."""
        return self._mark

    def mark(self) -> str:
        """The mark now, at most a second old. Whoever comes while it is made waits for it.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with self._lock:
            return self.recent or self._make()

    def join(self, listener: Listener) -> None:
        """
        Raises:
            TooManyPages: so many pages are open that there is no room for another.
        """
        with self._listening:
            if len(self._listeners) >= self._most:
                raise TooManyPages
            self._listeners.add(listener)
            self._listening.notify_all()

    def leave(self, listener: Listener) -> None:
        with self._listening:
            self._listeners.discard(listener)

    def _make(self) -> str:
        with self._database.read() as session:
            now = database_now(session)
            if time.monotonic() - self._counted_at > _COUNTS_HOLD_SECONDS:
                self._counts, self._counted_at = worklist.counts(session, now), time.monotonic()
            end = _end_of_log(session)
            seen = (end, *_seen(session, now, self._patience), self._counts)
        self._end = end
        self._mark = hashlib.sha256(repr(seen).encode()).hexdigest()[:20]
        self._made_at = time.monotonic()
        self._tell()
        return self._mark

    def _tell(self) -> None:
        """Wake the open pages if there is a mark that they have not been told of, whoever has made it."""
        with self._listening:
            if (self._mark, self.failing) != self._told:
                self._told = self._mark, self.failing
                for listener in self._listeners:
                    listener.put()

    def _look(self) -> None:
        """Make the mark anew if the log has grown, or if it is time to look at the rest too."""
        if time.monotonic() - self._made_at < _LOOK_SECONDS:
            with self._database.read() as session:
                if _end_of_log(session) == self._end:
                    return
        self._make()

    def _look_on(self) -> None:
        while True:
            with self._listening:
                self._listening.wait_for(lambda: self._stopping or self._listeners)
                if self._stopping:
                    return
            try:
                with self._lock:
                    self._look()
                self.failing = False
            except DatabaseUnavailable:
                if not self.failing:
                    log.warning("dashboard.not_looking")
                self.failing = True
            self._tell()
            with self._listening:
                self._listening.wait_for(lambda: self._stopping, _GLANCE_SECONDS)


def _end_of_log(session: Session) -> tuple[int, int]:
    """How many entries the audit log has, and the database's timeline."""
    row = session.execute(select(Ledger.audit_sequence, Ledger.timeline)).one()
    return row.audit_sequence, row.timeline


def _seen(session: Session, now: datetime, patience: timedelta) -> tuple[object, ...]:
    """The runs under way, the replicas, and the hour."""
    runs = session.execute(
        select(Run.id, Run.status, Run.stage, Run.progress, Run.claims, Run.detail_code)
        .where(Run.status.in_((RunStatus.QUEUED, RunStatus.RUNNING)))
        .order_by(Run.id)
    ).all()
    replicas = session.execute(
        select(
            Replica.id,
            Replica.generation,
            Replica.live_digest,
            Replica.ready_digest,
            Replica.epoch,
            Replica.error,
            Replica.last_seen_at,
        ).order_by(Replica.id)
    ).all()
    heard_of = [(*row[:-1], (now - row.last_seen_at).total_seconds() < _SILENCE_SECONDS) for row in replicas]
    unheard = standing(session, now, patience=patience).unheard_since is not None
    return (
        [tuple(row) for row in runs],
        unheard,
        heard_of,
        int(now.timestamp()) // _HOUR_SECONDS,
    )
