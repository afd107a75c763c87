"""A client that sends requests at their due times, whether or not earlier answers have come: an open loop.

It is a process of its own, so that it can be pinned to a core of its own, and it speaks HTTP/1.1 over plain sockets, so
that it takes little of that core. Run as ``python -m benchmarks.serve.open_loop``: it reads a `Plan` as JSON from
standard input, and writes an `Outcome` as JSON to standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

# A machine with other work may take this long for what is still to be answered at the end.
_ANSWER_SECONDS = 120.0
BROKEN = 0


@dataclass(frozen=True)
class Plan:
    """What to send.

    Args:
        host, port: of the server.
        requests: whole HTTP/1.1 requests, sent in turn.
        connections: how many are kept open. An arrival for which none is free waits, and its time counts.
        seconds: how long to send.
        per_second: the rate of arrivals, whose gaps are exponential (a Poisson process); None for a closed loop, in
            which each connection sends its next request when it has its answer.
        seed: draws the gaps.
        core: the processor to run on; None for any.
        keep: whether the outcome has every body, for a check of what was answered.
        start: when to begin, on `time.monotonic`'s clock; None for as soon as the connections are open.
    """

    host: str
    port: int
    requests: Sequence[str]
    connections: int
    seconds: float
    per_second: float | None = None
    seed: int = 0
    core: int | None = None
    keep: bool = False
    start: float | None = None

    def due(self) -> Iterator[float]:
        """When the requests of an open loop are due, in seconds from the start. The plan alone decides them."""
        assert self.per_second is not None
        draw, due = random.Random(self.seed), 0.0
        while (due := due + draw.expovariate(self.per_second)) <= self.seconds:
            yield due


@dataclass
class Outcome:
    """What came back: one entry for each request, in the order of the answers.

    ``sent`` is the request's number, ``seconds`` from its due time to its answer, ``ended`` the time of the answer on
    `time.monotonic`'s clock, which all processes of a machine share. A broken connection has the status `BROKEN`.
    """

    statuses: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    lasted: float = 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self._buffer = b""
        self._asked: tuple[int, float] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def ask(self, number: int, due: float, request: bytes) -> None:
        self._asked = (number, due)
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        start = head.find(b"content-length:") + 15
        length = int(head[start : (head + b"\r\n").find(b"\r\n", start)])
        if len(self._buffer) < end + 4 + length:
            return
        status, body = int(head[9:12]), self._buffer[end + 4 : end + 4 + length]
        self._buffer = b""
        asked, self._asked = self._asked, None
        if asked is not None:
            self._loop.answered(self, *asked, status, body)

    def connection_lost(self, exc: Exception | None) -> None:
        asked, self._asked = self._asked, None
        self._loop.lost(self, asked)


class _Loop:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests: Iterator[tuple[int, bytes]] = cycle(
            enumerate([request.encode() for request in plan.requests])
        )
        self._open: set[_Connection] = set()
        self._free: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._under_way = 0
        self._outcome = Outcome()
        self._ended = False
        self._closing = False
        self._done = asyncio.Event()

    async def run(self) -> Outcome:
        for _ in range(self._plan.connections):
            await self._connect()
        started = time.monotonic() if self._plan.start is None else self._plan.start
        await asyncio.sleep(max(0.0, started - time.monotonic()))
        if self._plan.per_second is None:
            for _ in range(self._plan.connections):
                self._arrive(time.monotonic())
            await asyncio.sleep(self._plan.seconds)
        else:
            await self._arrivals(started)
        self._ended = True
        if self._under_way or self._waiting:
            await asyncio.wait_for(self._done.wait(), _ANSWER_SECONDS)
        self._outcome.lasted = time.monotonic() - started
        self._closing = True
        for connection in self._open:
            connection.close()
        # Their transports close at the loop's next turn.
        await asyncio.sleep(0)
        return self._outcome

    async def _arrivals(self, started: float) -> None:
        for after in self._plan.due():
            due = started + after
            pause = due - time.monotonic()
            # After a pause of the process all that was due is sent at once, and counts from when it was due.
            if pause > 0 or not self._under_way % 64:
                await asyncio.sleep(max(0.0, pause))
            self._arrive(due)

    async def _connect(self) -> None:
        _, protocol = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self), self._plan.host, self._plan.port
        )
        self._free.append(protocol)
        self._open.add(protocol)

    def _arrive(self, due: float) -> None:
        if not self._free:
            self._waiting.append(due)
            return
        number, request = next(self._requests)
        self._under_way += 1
        # The one that was used last: a server closes those that nobody has used for seconds, perhaps in this moment.
        self._free.pop().ask(number, due, request)

    def answered(self, connection: _Connection, number: int, due: float, status: int, body: bytes) -> None:
        now = time.monotonic()
        self._note(number, due, now, status, body)
        self._free.append(connection)
        if self._waiting:
            self._arrive(self._waiting.popleft())
        elif self._plan.per_second is None and not self._ended:
            self._arrive(now)
        self._check_done()

    def lost(self, connection: _Connection, asked: tuple[int, float] | None) -> None:
        if self._closing:
            return
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if asked is not None:
            self._note(*asked, time.monotonic(), BROKEN, b"")
        self._check_done()
        if not self._done.is_set():
            self._reconnecting = asyncio.ensure_future(self._connect_again())

    async def _connect_again(self) -> None:
        await self._connect()
        if self._waiting:
            self._arrive(self._waiting.popleft())

    def _note(self, number: int, due: float, now: float, status: int, body: bytes) -> None:
        self._under_way -= 1
        out = self._outcome
        out.statuses.append(status)
        out.sent.append(number)
        out.seconds.append(now - due)
        out.ended.append(now)
        if self._plan.keep:
            out.bodies.append(body.decode())

    def _check_done(self) -> None:
        if self._ended and not self._under_way and not self._waiting:
            self._done.set()


def send(plan: Plan) -> Outcome:
    """Send in this process."""
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})

    async def run() -> Outcome:
        return await _Loop(plan).run()

    return asyncio.run(run())


def main() -> None:
    content: dict[str, Any] = json.load(sys.stdin)
    json.dump(asdict(send(Plan(**content))), sys.stdout)


if __name__ == "__main__":
    main()
