"""A client that does not read: what waits for it is bounded, and its connection is closed."""

from __future__ import annotations

import asyncio

from app.events import feed
from app.events.feed import Line, Subscriber


def lines(first: int, count: int) -> list[Line]:
    return [Line(sequence, b"") for sequence in range(first, first + count)]


def test_what_waits_comes_in_order_and_once() -> None:
    async def scenario() -> None:
        subscriber = Subscriber(when_too_slow=lambda: None)
        subscriber.put(lines(1, 2))
        subscriber.put(lines(3, 1))
        got: list[Line] = []
        while len(got) < 3:
            got += await subscriber.take(30)
        assert got == lines(1, 3)
        assert await subscriber.take(0.001) == []

    asyncio.run(scenario())


def test_a_client_that_does_not_read_is_dropped() -> None:
    async def scenario() -> None:
        dropped: list[str] = []
        subscriber = Subscriber(when_too_slow=lambda: dropped.append("once"))
        subscriber.put(lines(1, feed._MOST_WAITING))
        await asyncio.sleep(0)
        assert (subscriber.ended, dropped) == (False, [])
        for _ in range(2):
            subscriber.put(lines(feed._MOST_WAITING + 1, 1))
            await asyncio.sleep(0)
        assert (subscriber.ended, dropped) == (True, ["once"])
        assert await subscriber.take(30) == []

    asyncio.run(scenario())


def test_events_for_a_server_that_has_stopped_harm_nobody() -> None:
    async def made() -> Subscriber:
        return Subscriber(when_too_slow=lambda: None)

    asyncio.run(made()).put(lines(1, 1))
