# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""How a call is sent, and sent again."""

from __future__ import annotations

from asyncio import sleep
from types import TracebackType
from typing import Self, TypeVar

import httpx

from lethe_client.errors import LetheError
from lethe_client.exchange import Call, address, failure_of, lost, pause_before_retry, read_as

T = TypeVar("T")


class Connection:
    """The connections to one service. `AsyncClient` says what the arguments are."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=address(url),
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, call: Call, answer: type[T]) -> T:
        return read_as(answer, await self._send(call))

    async def _send(self, call: Call) -> httpx.Response:
        attempt = 0
        while True:
            failure: LetheError | None
            try:
                response = await self._http.request(**call.as_request())
                failure = failure_of(call, response)
                if failure is None:
                    return response
            except httpx.TransportError as error:
                failure = lost(error)
            pause = pause_before_retry(call, failure, attempt, self._retries)
            if pause is None:
                raise failure
            await sleep(pause)
            attempt += 1
