"""The last look at an answer, when its bytes are handed to the kernel.

A process can be suspended between any two of its instructions. What it computed before must not leave afterwards, when
the user may have been suppressed. So the application leaves a question in the request's state, and the transport asks
it around each write: before it, to hold the answer back, and after it, to report an answer that may have left too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter

log = structlog.get_logger()

# The key in the request's state. The value is a `MayLeave`; it is absent where an answer may always leave.
MAY_LEAVE = "may_leave"
MayLeave = Callable[[], bool]


class AnswerExpired(Exception):
    """The answer must not be sent any more. The connection is closed; what was sent of the answer stays unfinished."""


class LateAnswers:
    """Counts the answers that may have left too late: the time between the last look and the system call."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "lethe_answers_perhaps_late",
            "Personalised answers that may have left after their user was suppressed.",
            registry=registry,
        )

        self.count = 0

    def report(self) -> None:
        self.count += 1
        self._counter.inc()
        log.warning("answer.perhaps_late")


class LookingTransport:
    """An asyncio transport that asks `MayLeave` before and after each write.

    Args:
        transport: the transport that writes.
        question: the `MayLeave` of the answer that is being sent, or None.
        late: where an answer is reported that may have left too late.
    """

    def __init__(
        self, transport: asyncio.Transport, question: Callable[[], MayLeave | None], late: LateAnswers
    ) -> None:
        self._transport = transport
        self._question = question
        self._late = late

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write the data, or raise `AnswerExpired` if the answer that they belong to may not leave any more."""
        may_leave = self._question() if data else None
        if may_leave is None:
            self._transport.write(data)
            return
        if not may_leave():
            raise AnswerExpired
        self._transport.write(data)
        if not may_leave():
            # The kernel took the data before or after the process was suspended. Nobody knows, so it counts as late.
            self._transport.abort()
            self._late.report()
