"""A flood of a gateway by a client without a key, as its own process: `python -m benchmarks.service.flood`.

Arguments: port, number of half-open connections, number of bodies, bytes of each body. The process prints one JSON
object when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections import Counter

_HALF_A_HEAD = b"GET /recommend?user_id=nobody HTTP/1.1\r\nHost: gateway\r\nUser-Agent: flood\r\n"
_AGAIN_SECONDS = 10.0
_PIECE = b"x" * 65536
_ANSWER_SECONDS = 60.0


class Flood:
    """The flood, and counts of what it sent and how the gateway answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.opened = 0
        self.closed = 0
        self.open = 0
        self.most_open = 0
        self.answers: Counter[str] = Counter()

    async def hold_half_open(self, number: int) -> None:
        """Send half of a request's head and wait. Some seconds after the gateway closes the connection, do it again."""
        # Spread the connections over time.
        await asyncio.sleep(number * 0.001)
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            self.opened += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            try:
                writer.write(_HALF_A_HEAD)
                await reader.read()
            except OSError:
                pass
            finally:
                self.open -= 1
                writer.transport.abort()
            self.closed += 1
            await asyncio.sleep(_AGAIN_SECONDS)

    async def send_body(self, size: int) -> None:
        """Send the body as fast as the gateway takes it, and read the answer meanwhile."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                sending = asyncio.create_task(self._send(writer, size))
                try:
                    status = (await reader.readline()).split(b" ")[1].decode()
                finally:
                    await sending
                    writer.transport.abort()
        except (OSError, TimeoutError, IndexError):
            status = "none"
        self.answers[status] += 1

    async def _send(self, writer: asyncio.StreamWriter, size: int) -> None:
        head = f"POST /interactions HTTP/1.1\r\nHost: gateway\r\nContent-Length: {size}\r\n\r\n"
        try:
            writer.write(head.encode())
            for _ in range(size // len(_PIECE)):
                writer.write(_PIECE)
                await writer.drain()
        except OSError:
            # The gateway closed the connection. What counts is whether it answered before.
            return


async def _flood(port: int, half_open: int, bodies: int, size: int) -> dict[str, object]:
    flood = Flood(port)
    holding = [asyncio.create_task(flood.hold_half_open(number)) for number in range(half_open)]
    await asyncio.sleep(half_open * 0.001 + 1.0)
    sending = [asyncio.create_task(flood.send_body(size)) for _ in range(bodies)]
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*sending)
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    return {
        "opened": flood.opened,
        "closed_by_gateway": flood.closed,
        "most_open": flood.most_open,
        "bodies": {"count": bodies, "bytes": size, "statuses": dict(flood.answers.most_common())},
    }


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(asyncio.run(_flood(*map(int, sys.argv[1:5])))))
