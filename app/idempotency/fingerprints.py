"""What a client's key and the request with it are called in the database, which reveals neither."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property

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
    """

    def __init__(
        self, subject_key: SubjectKey, *, principal: str, route: str, key: str, target: str, body: bytes
    ) -> None:
        self._subject_key = subject_key
        self._content = route, target, body
        self.key_mac = subject_key.seal("idempotency key", principal, route, key)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for requests that ask for the same: the order of members and white space do not count.

        It takes time for a large body, so not in the event loop.
        """
        route, target, body = self._content
        digest = hashlib.sha256(_canonical(body)).hexdigest()
        return self._subject_key.seal("idempotency fingerprint", route, target, digest)


def _canonical(body: bytes) -> bytes:
    try:
        return canonical_json(json.loads(body))
    except (ValueError, RecursionError):
        # The route refuses it, or reads something else than JSON.
        return body
