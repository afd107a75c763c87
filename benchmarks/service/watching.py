"""Polls through HTTP until an answer meets a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from benchmarks.service.installation import Service

POLL_SECONDS = 0.1


def watch(
    service: Service,
    look: Callable[[], httpx.Response],
    found: Callable[[dict[str, Any]], bool],
    *,
    seconds: float,
    what: str,
) -> dict[str, Any]:
    """Poll every `POLL_SECONDS` until an answer meets the condition. No answer, or no 200, counts as not met.

    Args:
        service: the service, which must stay alive.
        look: sends one request.
        found: whether the answer meets the condition.
        seconds: how long to wait.
        what: the condition in words, for the error's message.

    Raises:
        ServiceUnmeasurable: the condition was not met in time, or the installation ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        service.check()
        try:
            response = look()
            if response.status_code == 200 and found(answer := response.json()):
                return answer
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    raise service.failure(f"{what} did not come about within {seconds:.0f} seconds")
