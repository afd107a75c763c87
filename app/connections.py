"""Connections under attack: how many there may be, how long each part of a request may take, and who goes first.

uvicorn waits for ever for a request's head and body, and takes connections until the process has no file left.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

import h11
from prometheus_client import CollectorRegistry, Counter
from uvicorn.protocols.http.h11_impl import H11Protocol

# What one reading takes from a connection. What is refused is read once at most before it is known to be refused.
_READ_BYTES = 16 * 1024
# Of a refused body, what is read and thrown away so that its sender gets to see the answer.
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 16 * 1024 * 1024
# Of somebody without a key only a little, because reading takes time from everybody else.
_LINGER_BYTES_OF_STRANGERS = 64 * 1024


class Phase(StrEnum):
    """What a connection is waiting for."""

    HEAD = "head"  # the client's, of its first request or of a next one that has begun
    BODY = "body"  # the client's
    ANSWER = "answer"  # ours, and that the client takes it
    LINGER = "linger"  # the rest of a body that was refused
    IDLE = "idle"  # the next request; uvicorn's own time-out counts


class Connections:
    """All that are open, and which of them is closed to make room.

    Args:
        limit: how many may be open.
        head_seconds: for the head of a request, and for a stranger to take the answer.
        body_seconds: for its body.
        registry: of the metrics.
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
        # In the order in which they came, or finished their last request.
        self._open: dict[BoundedConnection, None] = {}
        self._closed = Counter(
            "lethe_http_connections_closed", "Connections closed by a limit.", ["reason"], registry=registry
        )

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: BoundedConnection) -> None:
        self._open[connection] = None
        if len(self._open) > self.limit:
            self._first_to_go(connection).end("room")

    def renew(self, connection: BoundedConnection) -> None:
        """It has had an answer: others are older now."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def remove(self, connection: BoundedConnection) -> None:
        self._open.pop(connection, None)

    def count(self, reason: str) -> None:
        self._closed.labels(reason).inc()

    def _first_to_go(self, newcomer: BoundedConnection) -> BoundedConnection:
        """Whoever has shown no key and keeps us waiting; then any without a key; then callers between two requests."""
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
    """uvicorn's HTTP/1.1 within the limits of `Connections`.

    ``stranger`` holds until a request on it has shown a good key; the application says so in the request's state.
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
        super().connection_made(transport)
        # An attribute of the selector loop's transports: the default of 256 KiB is much for somebody unknown.
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        self._enter(Phase.HEAD)
        self._limits.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.remove(self)
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.phase is Phase.LINGER:
            self._thrown_away += len(data)
            if self._thrown_away > (_LINGER_BYTES_OF_STRANGERS if self.stranger else _LINGER_BYTES):
                # The rest stays with the sender, who has the seconds that are left to look at the answer.
                self.flow.pause_reading()
                return
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        answered = self.cycle
        # What was not asked for would be kept until the next request.
        answered.body = bytearray()
        self.stranger = not answered.scope.get("state", {}).get("caller")
        self._limits.renew(self)
        super().on_response_complete()
        self._look()

    def end(self, reason: str) -> None:
        """Close it now; what has been answered is on its way."""
        self._limits.count(reason)
        # At once out of the count: the loop tells about the loss only later.
        self._limits.remove(self)
        self._stop_timer()
        self.transport.abort()

    def _look(self) -> None:
        """Find out what the connection waits for now."""
        if self.transport.is_closing():
            self._stop_timer()
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            began = cycle is not self._in_flight
            self._in_flight = cycle
            if began and cycle.more_body:
                # Not before the application asks for it, and it asks nobody without a key.
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
            # A caller's request takes as long as it takes.
            return
        self.end(self.phase)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
