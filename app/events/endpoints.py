"""GET /events: public events as server-sent events."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.addressing import HEAD
from app.api_keys.authentication import Caller, require, still_allowed
from app.api_keys.service import Scope
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.events.feed import Subscriber, TooManyStreams
from app.events.stream import HEADERS, MEDIA_TYPE, EventStream
from app.json_bodies import JsonRoute
from app.long_answers import HANG_UP, WHEN_STOPPING
from app.problem_schema import problems

router = APIRouter(tags=["events"], route_class=JsonRoute)

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `id` is the event's `sequence`, `data` a JSON object",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}
# JavaScript's largest exact number.
_LARGEST = 2**53 - 1


@router.get("/events", response_class=StreamingResponse, responses=_STREAM | problems())
async def stream_events(
    request: Request,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.EVENTS_READ))],
    after: Annotated[
        int | None, Query(ge=0, le=_LARGEST, description="the last event seen, if no Last-Event-ID is sent")
    ] = None,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=_LARGEST, description="the last event seen; a browser sends it by itself")
    ] = None,
) -> Response:
    """Follow what happens to requests and versions, from now on or from the last event that the client has seen.

    Every event comes once and in order, also over interruptions, if the client sends the last `id` it has got. If some
    that it has not seen are no longer kept, the first message is of the type `resync`: read the state by the other
    routes; new events follow. A comment comes every 15 seconds. The stream ends if the client reads too slowly, the
    key is revoked or the gateway stops; then connect again.
    """
    if HEAD in request.scope:
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    state = request.scope["state"]
    # Only a connection of the real server can be closed.
    subscriber = Subscriber(when_too_slow=state.get(HANG_UP, _nothing))
    seen = after if last_event_id is None else last_event_id
    # Half of the connections stay for requests.
    most = min(gateway.settings.max_event_streams, request.app.state.connections.limit // 2)
    try:
        join = partial(gateway.events.join, subscriber, seen, most=most)
        place = await run_sync(join, limiter=gateway.event_readers)
    except TooManyStreams as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too-many-streams",
            "This gateway feeds as many streams as it may.",
            headers={"Retry-After": "10"},
        ) from error
    state[WHEN_STOPPING] = subscriber.end
    return EventStream(
        gateway.events,
        subscriber,
        place,
        seen,
        readers=gateway.event_readers,
        allowed=partial(still_allowed, request.scope, Scope.EVENTS_READ),
    )


def _nothing() -> None:
    return None
