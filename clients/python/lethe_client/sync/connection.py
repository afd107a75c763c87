"""How a call is sent, and sent again."""

from __future__ import annotations

from time import sleep
from types import TracebackType
from typing import Self, TypeVar

import httpx

from lethe_client.errors import LetheError
from lethe_client.exchange import Call, address, failure_of, lost, pause_before_retry, read_as

T = TypeVar("T")


class Connection:
    """The connections to one service. `Client` says what the arguments are."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.Client(
            base_url=address(url),
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, call: Call, answer: type[T]) -> T:
        return read_as(answer, self._send(call))

    def _send(self, call: Call) -> httpx.Response:
        attempt = 0
        while True:
            failure: LetheError | None
            try:
                response = self._http.request(**call.as_request())
                failure = failure_of(call, response)
                if failure is None:
                    return response
            except httpx.TransportError as error:
                failure = lost(error)
            pause = pause_before_retry(call, failure, attempt, self._retries)
            if pause is None:
                raise failure
            sleep(pause)
            attempt += 1
