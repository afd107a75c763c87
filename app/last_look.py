"""The last look at an answer, when its bytes are written to the socket.

A process can be suspended between any two of its instructions. What it computed before must not leave afterwards, when
the user may have been suppressed, or an item of the answer taken down. So the application leaves a `LastLook` in the
request's state, and the transport asks it around each write: before it, to hold the answer back, and after it, to
report an answer that may have left too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter

log = structlog.get_logger()

# The key in the request's state. It is absent where an answer may always leave.
LAST_LOOK = "last_look"
# How often an answer is looked at that waits for a client who does not read.
_AGAIN_SECONDS = 0.05


@dataclass
class LastLook:
    """Whether an answer may still leave, and whether a part of it has been written."""

    may_leave: Callable[[], bool]
    begun: bool = False


class AnswerExpired(Exception):
    """The answer must not be sent any more. The connection is closed; what was sent of the answer stays unfinished."""


class LateAnswers:
    """Counts the answers that may have left too late, between the last look and the system call."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "lethe_answers_perhaps_late",
            "Answers that may have left when they no longer were allowed: the user was suppressed, "
            "the lease on the feed had lapsed, or an item was taken down.",
            registry=registry,
        )
        self.count = 0

    def report(self) -> None:
        self.count += 1
        self._counter.inc()
        log.warning("answer.perhaps_late")


class LookingTransport:
    """An asyncio transport that asks the `LastLook` of an answer before and after each write.

    Args:
        transport: the transport that writes.
        last_look: the `LastLook` of the answer that is being sent, or None.
        late: where an answer is reported that may have left too late.
    """

    def __init__(
        self, transport: asyncio.Transport, last_look: Callable[[], LastLook | None], late: LateAnswers
    ) -> None:
        self._transport = transport
        self._last_look = last_look
        self._late = late

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def let_go(self) -> None:
        """Hold nobody's answer any longer. Call when the connection is lost."""
        self._last_look = _nothing

    def write(self, data: bytes) -> None:
        """Write the data, or raise `AnswerExpired` if the answer that they belong to may not leave any more."""
        look = self._last_look() if data else None
        if look is None:
            self._transport.write(data)
            return
        if self._transport.is_closing() or not look.may_leave():
            raise AnswerExpired
        head, look.begun = not look.begun, True
        self._transport.write(data)
        if not look.may_leave():
            # Nobody knows whether the process was suspended before the kernel took the data or after it. A head says
            # nothing of anybody, and no body follows it.
            self._end(told=not head)
        elif self._transport.get_write_buffer_size():
            self._look_later(look)

    def _look_later(self, look: LastLook) -> None:
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._look_again, look)

    def _look_again(self, look: LastLook) -> None:
        """The client has not read all: the rest waits in this process, and must not leave once it may not."""
        # A transport that is closing still sends what waits.
        waits = self._transport.get_write_buffer_size() > 0
        if not look.may_leave():
            self._end(told=True)
        elif waits:
            self._look_later(look)

    def _end(self, *, told: bool) -> None:
        self._transport.abort()
        if told:
            self._late.report()


def _nothing() -> LastLook | None:
    return None
