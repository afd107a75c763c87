"""What a client's key and the request with it are called in the database, which reveals neither."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from app import json_lines
from app.subjects import SubjectKey
from inputs import canonical_json


class KeyedRequest:
    """One request with an `Idempotency-Key`.

    Args:
        subject_key: keys the names, because a client's key, a path and a body can hold a user id.
        principal: who sends it. Two callers may use the same key.
        route: method and template of the route. A caller may use a key once for each route.
        key: as the client has sent it.
        target: the decoded path, and the query.
        body: the bytes of the body.
        in_lines: the body has a JSON value on each line. The same bytes as one JSON value ask for something else.
    """

    def __init__(
        self,
        subject_key: SubjectKey,
        *,
        principal: str,
        route: str,
        key: str,
        target: str,
        body: bytes,
        in_lines: bool = False,
    ) -> None:
        self._subject_key = subject_key
        self._content = route, target, body
        self._in_lines = in_lines
        self.key_mac = subject_key.seal("idempotency key", principal, route, key)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for requests that ask for the same: the order of members and white space do not count.

        It takes time for a large body, so not in the event loop.
        """
        route, target, body = self._content
        of = "idempotency fingerprint of lines" if self._in_lines else "idempotency fingerprint"
        content = _canonical_lines(body) if self._in_lines else _canonical(body)
        return self._subject_key.seal(of, route, target, hashlib.sha256(content).hexdigest())


def _canonical_lines(body: bytes) -> bytes:
    # Decoded first: `json.loads` would take a line in another encoding too, or with a byte order mark, in which the
    # route finds no item.
    return b"\n".join(
        _canonical(line, lambda line: json.loads(line.decode())) for line in json_lines.lines_of(body)
    )


def _canonical(body: bytes, read: Callable[[bytes], Any] = json.loads) -> bytes:
    try:
        return canonical_json(read(body))
    except (ValueError, RecursionError):
        # The route refuses it, or reads something else than JSON.
        return body
