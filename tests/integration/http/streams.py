"""A client of `GET /events`, as small as a browser's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

_SECONDS = 30.0


@dataclass
class Message:
    type: str = "message"
    id: str | None = None
    data: str = ""
    retry: str | None = None
    comments: list[str] = field(default_factory=list)

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.data)  # type: ignore[no-any-return]


@dataclass
class Stream:
    response: httpx.Response
    messages: Iterator[Message]

    def events(self, count: int) -> list[Message]:
        """The next messages that have data."""
        found: list[Message] = []
        while len(found) < count:
            message = next(self.messages)
            found += [message] if message.data else []
        return found

    def comment(self) -> str:
        """The next comment."""
        while True:
            message = next(self.messages)
            if message.comments:
                return message.comments[0]


@contextmanager
def following(
    port: int, key: str, *, after: int | None = None, last_id: str | None = None
) -> Iterator[Stream]:
    """An open stream, whose first message has been read."""
    headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": last_id} if last_id else {})
    url = f"http://127.0.0.1:{port}/events" + ("" if after is None else f"?after={after}")
    with (
        # Without TLS it needs no certificates, whose loading takes longer than all the rest.
        httpx.Client(timeout=_SECONDS, trust_env=False, verify=False) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        assert response.status_code == 200, response.read()
        yield Stream(response, messages_of(response.iter_lines()))


def messages_of(lines: Iterator[str]) -> Iterator[Message]:
    message = Message()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            yield message
            message = Message()
        elif not name:
            message.comments.append(value)
        elif name == "event":
            message.type = value
        elif name == "data":
            message.data += value
        elif name in ("id", "retry"):
            setattr(message, name, value)
