"""Looking through HTTP until something has come about."""

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
    """Look every `POLL_SECONDS` until an answer is what was waited for; no answer, or not a 200, is a look in vain.

    Args:
        service: what is looked at; it must stay alive.
        look: one question.
        found: whether its answer is the one.
        seconds: how long to wait.
        what: what has not come about then, for the error's message.

    Raises:
        ServiceUnmeasurable: it did not come about, or the installation ended.
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
