"""Limits of connections: how many may be open, how long each part of a request may take, and which is closed first.

uvicorn waits without limit for a request's head and body, and accepts connections until the process has no file left.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any

import h11
from prometheus_client import CollectorRegistry, Counter
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.last_look import LAST_LOOK, LastLook, LateAnswers, LookingTransport
from app.long_answers import HANG_UP, WHEN_STOPPING

# How much one read takes from a connection. A body is read at most once before it is known whether it is refused.
_READ_BYTES = 16 * 1024
# How long, and how much of, a refused body is read and discarded, so that its sender can read the answer.
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 16 * 1024 * 1024
# Less for senders without a key, because reading takes time from everybody else.
_LINGER_BYTES_OF_STRANGERS = 64 * 1024


class Phase(StrEnum):
    """What a connection is waiting for."""

    HEAD = "head"  # the head of the first request, or of a later one that has begun
    BODY = "body"  # the body of the request
    ANSWER = "answer"  # our answer, until the client has taken it
    LINGER = "linger"  # the rest of a refused body
    IDLE = "idle"  # the next request; uvicorn's own time-out applies


class Connections:
    """All open connections. Decides which one is closed to make room.

    A *stranger* is a client that has not sent a valid key on this connection yet.

    Args:
        limit: how many may be open.
        head_seconds: time for the head of a request, and for a stranger to take the answer.
        body_seconds: time for the body of a request.
        registry: the registry of the metrics.
    """

    def __init__(
        self, limit: int, *, head_seconds: float, body_seconds: float, registry: CollectorRegistry
    ) -> None:
        self.limit = limit
        self.seconds = {
            Phase.HEAD: head_seconds,
            Phase.BODY: body_seconds,
            Phase.ANSWER: head_seconds,
            Phase.LINGER: _LINGER_SECONDS,
        }
        # Ordered by the time of their arrival, or of the end of their last request.
        self._open: dict[BoundedConnection, None] = {}
        self._closed = Counter(
            "lethe_http_connections_closed", "Connections closed by a limit.", ["reason"], registry=registry
        )
        self.late_answers = LateAnswers(registry)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: BoundedConnection) -> None:
        self._open[connection] = None
        if len(self._open) > self.limit:
            self._first_to_go(connection).end("room")

    def renew(self, connection: BoundedConnection) -> None:
        """Move the connection to the end of the order, because it has just got an answer."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def remove(self, connection: BoundedConnection) -> None:
        self._open.pop(connection, None)

    def count(self, reason: str) -> None:
        self._closed.labels(reason).inc()

    def _first_to_go(self, newcomer: BoundedConnection) -> BoundedConnection:
        """The connection to close: first a stranger that we wait for, then any stranger, then an idle caller."""
        order: tuple[tuple[bool, frozenset[Phase]], ...] = (
            (True, frozenset({Phase.HEAD})),
            (True, frozenset({Phase.BODY, Phase.LINGER})),
            (True, frozenset(Phase)),
            (False, frozenset({Phase.IDLE, Phase.HEAD, Phase.LINGER})),
        )
        for stranger, phases in order:
            for connection in self._open:
                if (
                    connection is not newcomer
                    and connection.stranger is stranger
                    and connection.phase in phases
                ):
                    return connection
        return newcomer


class BoundedConnection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol within the limits of `Connections`.

    ``stranger`` is True until a request on the connection has had a valid key. The application sets ``caller`` in the
    request's state then.
    """

    def __init__(self, *arguments: Any, limits: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight: object = None
        self._thrown_away = 0
        self.phase = Phase.HEAD
        self.stranger = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._looking = LookingTransport(transport, self._last_look, self._limits.late_answers)
        # It has all that the transport has, by delegation, which a type does not show.
        super().connection_made(self._looking)  # type: ignore[arg-type]
        # The selector loop's transports read up to `max_size` at once. The default, 256 KiB, is much for a stranger.
        # uvloop's take no such limit: they read into one buffer, which all of its connections share.
        with suppress(AttributeError):
            transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        self._enter(Phase.HEAD)
        self._limits.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.remove(self)
        self._stop_timer()
        if self.cycle is not None:
            # It refers to this connection.
            self.cycle.scope["state"].pop(HANG_UP, None)
        super().connection_lost(exc)
        # It refers to this connection, which would otherwise keep its last answer until the next collection.
        self._looking.let_go()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.phase is Phase.LINGER:
            self._thrown_away += len(data)
            if self._thrown_away > (_LINGER_BYTES_OF_STRANGERS if self.stranger else _LINGER_BYTES):
                # Read no more. The sender has the rest of the seconds to read the answer.
                self.flow.pause_reading()
                return
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        answered = self.cycle
        # Drop a body that the application did not read; uvicorn would keep it until the next request.
        answered.body = bytearray()
        state = answered.scope.get("state", {})
        self.stranger = not state.get("caller")
        for ours in (LAST_LOOK, HANG_UP, WHEN_STOPPING):
            state.pop(ours, None)
        self._limits.renew(self)
        super().on_response_complete()
        self._look()

    def shutdown(self) -> None:
        """Let an answer without an end come to its end, because the server stops."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.scope["state"].get(WHEN_STOPPING, _nothing)()
        super().shutdown()

    def _last_look(self) -> LastLook | None:
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return None
        return cycle.scope["state"].get(LAST_LOOK)

    def end(self, reason: str) -> None:
        """Close the connection at once."""
        self._limits.count(reason)
        # Remove it now: the loop calls `connection_lost` only later.
        self._limits.remove(self)
        self._stop_timer()
        self.transport.abort()

    def _look(self) -> None:
        """Determine what the connection waits for now, and set the time limit for it."""
        if self.transport.is_closing():
            self._stop_timer()
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            began = cycle is not self._in_flight
            self._in_flight = cycle
            if began:
                cycle.scope["state"][HANG_UP] = partial(self.end, "slow")
            if began and cycle.more_body:
                # Read the body only when the application asks for it. It does not ask a stranger for one.
                self.flow.pause_reading()
            self._enter(Phase.BODY if cycle.more_body else Phase.ANSWER, again=began)
        elif self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            self._enter(Phase.LINGER)
        elif self.timeout_keep_alive_task is not None:
            self._enter(Phase.IDLE)
        else:
            self._enter(Phase.HEAD)

    def _enter(self, phase: Phase, *, again: bool = False) -> None:
        if phase is self.phase and self._timer is not None and not again:
            return
        self._stop_timer()
        self.phase = phase
        self._thrown_away = 0
        if phase in self._limits.seconds:
            self._timer = self.loop.call_later(self._limits.seconds[phase], self._too_late)

    def _too_late(self) -> None:
        self._timer = None
        if self.phase is Phase.ANSWER and self.cycle.scope.get("state", {}).get("caller"):
            # No limit for the answer to a caller.
            return
        self.end(self.phase)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing() -> None:
    return None
