"""One stream of public events: what was missed, then what comes.

FastAPI's own streams of events send heartbeats and a `Cache-Control` of their own, and cannot be told to stop. So this
is Starlette's streaming answer, with FastAPI's wire format.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from app.db.errors import DatabaseUnavailable
from app.events.feed import EventFeed, Line, Place, Subscriber

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
HEARTBEAT_SECONDS = 15.0
_RETRY_MILLISECONDS = 3000


class EventStream(StreamingResponse):
    """The answer. It leaves the feed when it ends, however it ends.

    Args:
        subscriber: a subscriber that has joined the feed.
        place: where it has joined.
        seen: the last event that the client has seen; None if it wants only new ones.
        readers: limits the threads that read old events.
        allowed: whether the client may still read. Asked at every heartbeat.
    """

    def __init__(
        self,
        feed: EventFeed,
        subscriber: Subscriber,
        place: Place,
        seen: int | None,
        *,
        readers: CapacityLimiter,
        allowed: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__(self._content(), headers=HEADERS, media_type=MEDIA_TYPE)
        self._feed = feed
        self._subscriber = subscriber
        self._place = place
        self._seen = seen
        self._readers = readers
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed.leave(self._subscriber)

    async def _content(self) -> AsyncIterator[bytes]:
        live_after = self._place.live_after
        resync = self._place.gone
        if resync or self._seen is None:
            self._seen = live_after
        # An `id` without data: a client that is cut off before the first event knows where to go on.
        yield format_sse_event(
            id=str(self._seen),
            retry=_RETRY_MILLISECONDS,
            event="resync" if resync else None,
            data_str=json.dumps({"after": self._seen}) if resync else None,
        )
        try:
            while self._seen < live_after and not self._subscriber.ended:
                missed = partial(self._feed.replay, self._seen, up_to=live_after)
                lines = await run_sync(missed, limiter=self._readers)
                if not lines:
                    break
                yield self._sent(lines)
        except DatabaseUnavailable:
            # The client connects again and goes on from its last event.
            return
        look_at = time.monotonic() + HEARTBEAT_SECONDS
        while not self._subscriber.ended:
            new = await self._subscriber.take(max(0.0, look_at - time.monotonic()))
            if data := self._sent(new):
                yield data
            if time.monotonic() >= look_at:
                if not await self._allowed():
                    return
                yield format_sse_event(comment="heartbeat")
                look_at = time.monotonic() + HEARTBEAT_SECONDS

    def _sent(self, lines: Iterable[Line]) -> bytes:
        """The events that the client has not seen."""
        seen = self._seen or 0
        new = [line for line in lines if line.sequence > seen]
        if new:
            self._seen = new[-1].sequence
        return b"".join(line.data for line in new)
