"""Who is calling, and whether they may."""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request

from app.db import api_keys
from app.db.api_keys import Scope
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.errors import Problem

REVALIDATE_SECONDS = 5.0
# With the database gone, recommendations (fallbacks by then) go on for known callers for this long.
GRACE_SECONDS = 60.0
_MAX_KNOWN_CALLERS = 1024


@dataclass(frozen=True)
class Caller:
    name: str
    scopes: frozenset[str]


class Authenticator:
    """Looks keys up in the database and remembers a good one for a few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Caller]] = {}

    def caller(self, key: str) -> Caller | None:
        """
        Raises:
            DatabaseUnavailable: the key is not known from before and cannot be looked up.
        """
        digest = api_keys.digest_of(key)
        now = time.monotonic()
        with self._lock:
            verified_at, known = self._known.get(digest, (float("-inf"), None))
        if known is not None and now - verified_at < REVALIDATE_SECONDS:
            return known
        try:
            with self._database.read() as session:
                row = api_keys.find_active(session, key, database_now(session))
        except DatabaseUnavailable:
            if known is not None and now - verified_at < GRACE_SECONDS:
                return known
            raise
        with self._lock:
            self._known.pop(digest, None)
            if row is None:
                return None
            if len(self._known) >= _MAX_KNOWN_CALLERS:
                self._known.pop(next(iter(self._known)))
            caller = Caller(row.name, frozenset(row.scopes))
            self._known[digest] = (now, caller)
            return caller


def require(scope: Scope) -> Callable[[Request], Caller]:
    """A dependency that lets only keys with this scope through.

    The key comes as ``Authorization: Bearer KEY``, or as the password of HTTP Basic so that a browser can open the
    dashboard; that way only reads are let through.
    """

    def dependency(request: Request) -> Caller:
        key = _presented_key(request.headers.get("authorization", ""), request.method)
        authenticator: Authenticator = request.app.state.authenticator
        caller = authenticator.caller(key) if key else None
        if caller is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "unauthenticated",
                "Send a valid API key as 'Authorization: Bearer KEY'.",
                headers={"WWW-Authenticate": 'Bearer realm="lethe", Basic realm="lethe"'},
            )
        if scope not in caller.scopes:
            raise Problem(
                HTTPStatus.FORBIDDEN, "missing-scope", f"This key lacks the scope {scope}.", scope=str(scope)
            )
        return caller

    return dependency


def _presented_key(authorization: str, method: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    # A browser sends Basic credentials along with any form another site makes it post: good for reading only.
    if scheme.lower() == "basic" and method in ("GET", "HEAD"):
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
