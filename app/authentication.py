"""Who is calling, and whether they may."""

from __future__ import annotations

import base64
import binascii
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from sqlalchemy.orm import Session

from app.db import api_keys
from app.db.api_keys import Scope
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.errors import Problem
from app.prompt_reader import PromptReader

REVALIDATE_SECONDS = 5.0
_MAX_KNOWN_CALLERS = 1024
# What is answered from memory. Nothing else can be done without the database.
_FROM_MEMORY = frozenset({Scope.RECOMMEND, Scope.METRICS_READ})


@dataclass(frozen=True)
class Caller:
    name: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class _Known:
    """``verified_at`` and ``ends_at`` are readings of `time.monotonic`."""

    caller: Caller
    verified_at: float
    ends_at: float


class Authenticator:
    """Looks keys up in the database and remembers a good one for a few seconds.

    Args:
        lease_seconds: how long a good one is remembered for what is answered from memory while the database is gone.
    """

    def __init__(self, reader: PromptReader, lease_seconds: float) -> None:
        self._reader = reader
        self._lease = lease_seconds
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def caller(self, key: str, scope: Scope) -> Caller | None:
        """
        Raises:
            DatabaseUnavailable: the key cannot be looked up, and is not known well enough for this scope.
        """
        digest = api_keys.digest_of(key)
        now = time.monotonic()
        with self._lock:
            known = self._known.get(digest)
        if known is not None and now - known.verified_at < REVALIDATE_SECONDS and now < known.ends_at:
            return known.caller
        try:
            found = self._reader.read(lambda session: _look_up(session, key))
        except DatabaseUnavailable:
            leased = known is not None and now - known.verified_at < self._lease and now < known.ends_at
            if known is not None and leased and scope in _FROM_MEMORY:
                return known.caller
            raise
        with self._lock:
            self._known.pop(digest, None)
            if found is None:
                return None
            caller, left = found
            if len(self._known) >= _MAX_KNOWN_CALLERS:
                self._known.pop(next(iter(self._known)))
            self._known[digest] = _Known(caller, now, now + left)
            return caller


def _look_up(session: Session, key: str) -> tuple[Caller, float] | None:
    """The caller of an active key, and for how many seconds it is still valid."""
    now = database_now(session)
    row = api_keys.find_active(session, key, now)
    if row is None:
        return None
    left = math.inf if row.expires_at is None else (row.expires_at - now).total_seconds()
    return Caller(row.name, frozenset(row.scopes)), left


def require(scope: Scope) -> Callable[[Request], Caller]:
    """A dependency that lets only keys with this scope through.

    The key comes as ``Authorization: Bearer KEY``, or as the password of HTTP Basic so that a browser can open the
    dashboard; that way only reads are let through.
    """

    def dependency(request: Request) -> Caller:
        key = _presented_key(request.headers.get("authorization", ""), request.method)
        authenticator: Authenticator = request.app.state.authenticator
        caller = authenticator.caller(key, scope) if key else None
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
