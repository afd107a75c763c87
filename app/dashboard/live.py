"""GET /dashboard/live: tells open pages that something has changed, as a stream or to whoever asks again and again.

It tells no more than that: a page fetches its own content, with its own scope, when the mark has changed. Only this
module and `static/live.js` know how the news arrives.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from app.addressing import HEAD
from app.dashboard.access import SessionKeeper, Viewer, viewer_of
from app.dashboard.pages import PageRoute
from app.dashboard.pulse import Listener, Pulse, TooManyPages
from app.db.errors import DatabaseUnavailable
from app.errors import Problem
from app.events.stream import HEADERS, MEDIA_TYPE
from app.long_answers import WHEN_STOPPING

router = APIRouter(include_in_schema=False, route_class=PageRoute)

# So often a stream says that it is there. A page that hears nothing for two beats takes the connection for lost.
_BEAT_SECONDS = 5.0
# So often it is looked up whether the session goes on.
_SESSION_SECONDS = 15.0
_RETRY_MILLISECONDS = 1000
_MARK = r"^[0-9a-f]{0,20}$"


@router.get("/dashboard/live")
async def live(
    request: Request,
    viewer: Annotated[Viewer, Depends(viewer_of)],
    seen: Annotated[str, Query(pattern=_MARK, description="the mark that the page was made with")] = "",
    last_event_id: Annotated[str, Header(pattern=_MARK, description="sent by a browser by itself")] = "",
) -> Response:
    """For `text/event-stream` a stream: `changed` with the new mark as its id, `beat`, and `ended` with the session.

    For others 304 if nothing has changed since the mark in If-None-Match; 204 with the new mark otherwise.
    """
    pulse: Pulse = request.app.state.pulse
    if MEDIA_TYPE not in request.headers.get("accept", ""):
        mark = f'"{pulse.recent or await run_sync(pulse.mark)}"'
        known = request.headers.get("if-none-match")
        return Response(status_code=304 if known == mark else 204, headers={"ETag": mark})
    if HEAD in request.scope:
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    listener = Listener()
    try:
        pulse.join(listener)
    except TooManyPages:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too-many-streams",
            "This gateway feeds as many pages as it may; the page asks every few seconds instead.",
            headers={"Retry-After": "10"},
        ) from None
    request.scope["state"][WHEN_STOPPING] = listener.end
    return _News(pulse, listener, last_event_id or seen, viewer, request.app.state.session_keeper)


class _News(StreamingResponse):
    """The stream. It leaves the pulse when it ends, however it ends."""

    def __init__(
        self, pulse: Pulse, listener: Listener, seen: str, viewer: Viewer, keeper: SessionKeeper
    ) -> None:
        super().__init__(self._content(), headers=HEADERS, media_type=MEDIA_TYPE)
        self._pulse, self._listener, self._seen = pulse, listener, seen
        self._viewer, self._keeper = viewer, keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pulse.leave(self._listener)

    async def _content(self) -> AsyncIterator[bytes]:
        yield self._beat(retry=_RETRY_MILLISECONDS)
        beat_at, look_at = time.monotonic() + _BEAT_SECONDS, time.monotonic() + _SESSION_SECONDS
        stale = self._pulse.failing
        while not self._listener.ended:
            mark = self._pulse.latest
            if mark and mark != self._seen:
                self._seen = mark
                yield format_sse_event(event="changed", id=mark, data_str="1")
            await self._listener.wait(max(0.0, beat_at - time.monotonic()))
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _SESSION_SECONDS
                if not await self._goes_on():
                    yield format_sse_event(event="ended", data_str="1")
                    return
            if time.monotonic() >= beat_at or stale != self._pulse.failing:
                stale = self._pulse.failing
                beat_at = time.monotonic() + _BEAT_SECONDS
                yield self._beat()

    def _beat(self, retry: int | None = None) -> bytes:
        data = "stale" if self._pulse.failing else "live"
        return format_sse_event(event="beat", data_str=data, retry=retry)

    async def _goes_on(self) -> bool:
        """Whether the session has not ended. What is sent with an API key ends by itself after a while."""
        if self._viewer.token is None:
            return False
        try:
            return await self._keeper.find(self._viewer.token, by_person=False) is not None
        except DatabaseUnavailable:
            # The page's own requests are refused meanwhile, and the next look tells.
            return True
