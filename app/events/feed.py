"""The public events as they are committed, read once per process for all streams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from fastapi.sse import format_sse_event
from sqlalchemy.orm import Session

from app.db.errors import DatabaseUnavailable
from app.db.models import PublicEvent
from app.db.session import Database
from app.events import queries as events
from app.events.schemas import EventBody

log = structlog.get_logger()

# An event reaches a stream at most this long after its commit, plus the time of one query.
_POLL_SECONDS = 0.25
_AT_A_TIME = 500
# So many events may wait for a client that does not read. Then its stream ends, and it can read them again.
_MOST_WAITING = 1000


@dataclass(frozen=True)
class Line:
    """One event as bytes of a stream."""

    sequence: int
    data: bytes

    @classmethod
    def of(cls, event: PublicEvent) -> Line:
        # Without a field `event`, so that a client's `onmessage` gets all events, also those that are new to it.
        body = EventBody.of(event).model_dump_json()
        return cls(event.sequence, format_sse_event(id=str(event.sequence), data_str=body))


class TooManyStreams(Exception):
    """This process feeds as many streams as it may."""


@dataclass(frozen=True)
class Place:
    """Where a stream begins.

    Attributes:
        live_after: the feed brings every event above this number. Those up to it must be read by `EventFeed.replay`.
        gone: whether events that the client has not seen are no longer kept.
    """

    live_after: int
    gone: bool


class Subscriber:
    """What waits for one stream. Made on the event loop; its methods are called there, except for `put`.

    Args:
        when_too_slow: called when too much waits.
    """

    def __init__(self, *, when_too_slow: Callable[[], None]) -> None:
        self._when_too_slow = when_too_slow
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Line] = []
        self._changed = asyncio.Event()
        self.ended = False

    def put(self, lines: Sequence[Line]) -> None:
        """Add events. Called by the feed's thread."""
        # The loop is closed if the server has stopped.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._put, lines)

    def _put(self, lines: Sequence[Line]) -> None:
        if not self.ended and len(self._waiting) + len(lines) > _MOST_WAITING:
            self.end()
            self._when_too_slow()
        if not self.ended:
            self._waiting += lines
            self._changed.set()

    def end(self) -> None:
        """Let the stream end. The client may connect again and go on from its last event."""
        self.ended = True
        self._waiting = []
        self._changed.set()

    async def take(self, seconds: float) -> list[Line]:
        """The events that wait, after waiting for the first one for at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()
        lines, self._waiting = self._waiting, []
        return lines


class EventFeed:
    """A thread that reads new events and hands them to all subscribers. It reads nothing while there are none."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._subscribers: set[Subscriber] = set()
        # All subscribers have been handed every event up to this number. None while there are no subscribers.
        self._position: int | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def join(self, subscriber: Subscriber, after: int | None, *, most: int) -> Place:
        """Add a subscriber that has seen all events up to ``after``; None if it wants only new ones.

        Blocks the calling thread for two queries.

        Raises:
            TooManyStreams: there are ``most`` subscribers.
            DatabaseUnavailable: the database does not answer.
        """
        with self._database.read() as session:
            newest, oldest = events.newest(session), events.oldest_kept(session)
        first_kept = newest + 1 if oldest is None else oldest
        with self._changed:
            if len(self._subscribers) >= most:
                raise TooManyStreams
            if self._position is None:
                self._position = newest
            self._subscribers.add(subscriber)
            self._changed.notify_all()
            # A client that has seen more than there is has seen them in a database that was restored since.
            gone = after is not None and not first_kept - 1 <= after <= newest
            return Place(self._position, gone)

    def leave(self, subscriber: Subscriber) -> None:
        with self._changed:
            self._subscribers.discard(subscriber)
            if not self._subscribers:
                self._position = None

    def replay(self, after: int, *, up_to: int) -> list[Line]:
        """The first events above ``after``, and none above ``up_to``. Blocks the calling thread.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with self._database.read() as session:
            return [Line.of(event) for event in _page(session, after, up_to)]

    def _loop(self) -> None:
        failing = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._position is not None)
                if self._stopping:
                    return
                position = self._position
            assert position is not None
            full = False
            try:
                full = self._look(position)
                failing = False
            except DatabaseUnavailable:
                if not failing:
                    log.warning("events.not_read")
                failing = True
            if not full:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, _POLL_SECONDS)

    def _look(self, position: int) -> bool:
        """Hand out what was committed after this event. Returns whether there may be more."""
        with self._database.read() as session:
            lines = [Line.of(event) for event in _page(session, position)]
        if not lines:
            return False
        with self._changed:
            # All subscribers may have left meanwhile, and others have come.
            if self._position == position:
                self._position = lines[-1].sequence
                for subscriber in self._subscribers:
                    subscriber.put(lines)
        return len(lines) == _AT_A_TIME


def _page(session: Session, after: int, up_to: int | None = None) -> Sequence[PublicEvent]:
    return events.following(session, after, limit=_AT_A_TIME, up_to=up_to)
