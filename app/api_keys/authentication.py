"""Authentication by API key or token, and the check of scopes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import re
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.types import Scope as Asked

from app.api_keys import queries as key_queries
from app.api_keys import service as api_keys
from app.api_keys.rate_limits import CallerLimits, FailedLogins
from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.errors import Problem
from app.oidc.provider_keys import KeysUnavailable
from app.oidc.tokens import TokenVerifier, is_token
from app.recommendations.prompt_reader import PromptReader

# A revoked key is good for this long at most. A token ends by itself, and only its issuer's keys can end it earlier.
REVALIDATE_SECONDS = 1.0
_REVALIDATE_TOKENS_SECONDS = 5.0
# From this share of the time on, a caller who asks is looked up again meanwhile, so that nobody waits for it.
_AHEAD = 0.5
# Requests with these scopes are answered from memory. All others need the database.
_FROM_MEMORY = frozenset({Scope.RECOMMEND, Scope.METRICS_READ})
# Requests with these scopes come with every page of a shop, or every few seconds from a monitor.
_NOT_COUNTED = frozenset({Scope.RECOMMEND, Scope.INTERACTIONS_WRITE, Scope.METRICS_READ})
_MAX_KNOWN_CALLERS = 1024
# Lookups of unknown keys get threads of their own, so that guesses of keys never take a thread from a known caller.
_LOOKUPS_OF_STRANGERS = 2
_LOOKUPS_OF_CALLERS = 4
# For addresses that have failed too often. A valid key is still found, only later: otherwise anybody behind the same
# proxy or network could lock it out.
_LOOKUPS_OF_SUSPECTS = 1
_KEY = re.compile(rf"{api_keys.PREFIX}[0-9a-f]{{64}}")


@dataclass(frozen=True)
class Caller:
    """The owner of a key, or the holder of a token.

    ``confirmed`` is False if the database is down and the key was last verified a while ago. ``subject`` is set for an
    end user, whose scopes hold for their own requests only.
    """

    name: str
    scopes: frozenset[str]
    confirmed: bool = True
    subject: str | None = None

    def acts_for(self, subject_hmac: str) -> bool:
        """Whether the caller may act for this subject: an end user for themselves, everybody else for all."""
        return self.subject in (None, subject_hmac)


@dataclass(frozen=True)
class _Known:
    """A remembered caller. ``verified_at`` and ``ends_at`` are values of `time.monotonic`, in seconds."""

    caller: Caller
    verified_at: float
    ends_at: float
    by_token: bool = False

    def needs_no_look(self, now: float, share: float = 1.0) -> bool:
        """Whether it was verified so short a time ago, or within this share of that time."""
        seconds = _REVALIDATE_TOKENS_SECONDS if self.by_token else REVALIDATE_SECONDS
        return self.still_good(now, share * seconds)

    def still_good(self, now: float, seconds: float) -> bool:
        return now - self.verified_at < seconds and now < self.ends_at


class TooManyFailures(Exception):
    """An address has sent too many keys that are not valid. It may send others after ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


class Authenticator:
    """Looks keys up in the database, verifies tokens, and remembers valid ones for a few seconds.

    Args:
        tokens: verifies bearer tokens; None if no issuer is set.
        failures: counts what is not valid by address.
        lease_seconds: while the database is down, how long a valid key is remembered for requests that are answered
            from memory.
    """

    def __init__(
        self,
        reader: PromptReader,
        lease_seconds: float,
        tokens: TokenVerifier | None = None,
        failures: FailedLogins | None = None,
    ) -> None:
        self._reader = reader
        self._tokens = tokens
        self._failures = failures or FailedLogins("")
        self._lease = lease_seconds
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._looked_up_ahead: dict[str, asyncio.Task[None]] = {}
        self._strangers = CapacityLimiter(_LOOKUPS_OF_STRANGERS)
        self._callers = CapacityLimiter(_LOOKUPS_OF_CALLERS)
        self._suspects = CapacityLimiter(_LOOKUPS_OF_SUSPECTS)

    async def identify(self, key: str, address: str = "") -> Caller | None:
        """Like `caller`, but called from the event loop. A string without the form of a key or token is not looked up.

        Args:
            key: what the client has sent; empty if it has sent nothing.
            address: where it came from. Callers who are remembered are not asked for it.

        Raises:
            DatabaseUnavailable, KeysUnavailable: as `caller` does.
            TooManyFailures: the key is not valid, and the address has sent too many such keys.
        """
        if not key:
            return None
        digest = api_keys.digest_of(key)
        with self._lock:
            known = self._known.get(digest)
        now = time.monotonic()
        if known is not None and known.needs_no_look(now):
            if not known.needs_no_look(now, _AHEAD):
                self._look_ahead(key, digest)
            return known.caller
        wait = self._failures.exceeded(address) if known is None else None
        found = None
        if _KEY.fullmatch(key) or self._may_be_token(key):
            line = self._callers if known is not None else self._strangers if wait is None else self._suspects
            found = await run_sync(self.caller, key, limiter=line)
        if found is None:
            self._failures.count(address)
            if wait is not None:
                raise TooManyFailures(wait)
        return found

    def _look_ahead(self, key: str, digest: str) -> None:
        """Look the caller up again in the background, once at a time."""
        if digest in self._looked_up_ahead:
            return

        async def look() -> None:
            try:
                await run_sync(self._look, key, limiter=self._callers)
            except (DatabaseUnavailable, KeysUnavailable):
                # Whoever asks after the time is over waits for an answer, and learns why there is none.
                pass
            finally:
                del self._looked_up_ahead[digest]

        self._looked_up_ahead[digest] = asyncio.get_running_loop().create_task(look())

    def caller(self, key: str) -> Caller | None:
        """The owner of this key or token; None if it is not valid. Blocks the calling thread.

        Raises:
            DatabaseUnavailable: the key cannot be looked up, and is not remembered.
            KeysUnavailable: a token cannot be verified.
        """
        now = time.monotonic()
        with self._lock:
            known = self._known.get(api_keys.digest_of(key))
        if known is not None and known.needs_no_look(now):
            return known.caller
        try:
            return self._look(key)
        except DatabaseUnavailable:
            if known is not None and known.still_good(now, self._lease):
                return replace(known.caller, confirmed=False)
            raise

    def _look(self, key: str) -> Caller | None:
        digest, now = api_keys.digest_of(key), time.monotonic()
        found = self._find(key)
        with self._lock:
            newer = self._known.get(digest)
            if newer is not None and newer.verified_at > now:
                # Another look that began later has ended already.
                return newer.caller
            self._known.pop(digest, None)
            if found is None:
                return None
            caller, left = found
            if len(self._known) >= _MAX_KNOWN_CALLERS:
                self._known.pop(next(iter(self._known)))
            self._known[digest] = _Known(caller, now, now + left, self._may_be_token(key))
            return caller

    def _may_be_token(self, key: str) -> bool:
        return self._tokens is not None and is_token(key)

    def _find(self, key: str) -> tuple[Caller, float] | None:
        if self._tokens is not None and is_token(key):
            holder = self._tokens.holder(key)
            if holder is None:
                return None
            return Caller(holder.name, holder.scopes, subject=holder.subject), holder.seconds_left
        return self._reader.read(lambda session: _look_up(session, key))


def _look_up(session: Session, key: str) -> tuple[Caller, float] | None:
    """The owner of an active key, and for how many more seconds the key is valid."""
    now = database_now(session)
    row = key_queries.find_active(session, key, now)
    if row is None:
        return None
    left = math.inf if row.expires_at is None else (row.expires_at - now).total_seconds()
    return Caller(row.name, frozenset(row.scopes)), left


async def caller_of(asked: Asked) -> Caller:
    """The caller, looked up once per request and kept in the request's state, where the server reads it too.

    Raises:
        Problem: 401, there is no valid key; 429, as before, and it is one of many; 503, a token cannot be verified.
        DatabaseUnavailable: the key cannot be looked up.
    """
    state = asked.setdefault("state", {})
    if "caller" not in state:
        key = _presented_key(asked)
        authenticator: Authenticator = asked["app"].state.authenticator
        try:
            state["caller"] = await authenticator.identify(key, (asked.get("client") or ("",))[0])
        except TooManyFailures as error:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-failures",
                "Too many keys from this address are not valid.",
                headers={"Retry-After": str(error.seconds)},
            ) from error
        except KeysUnavailable as error:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "identity-provider-unavailable",
                "The issuer's keys cannot be read, so the token cannot be verified. API keys work.",
                headers={"Retry-After": "10"},
            ) from error
    caller: Caller | None = state["caller"]
    if caller is None:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "unauthenticated",
            "Send a valid API key, or a token of the issuer, as 'Authorization: Bearer KEY'.",
            headers={"WWW-Authenticate": 'Bearer realm="lethe", Basic realm="lethe"'},
        )
    return caller


def require(scope: Scope, *, own: bool = False) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that lets only callers with this scope through.

    Args:
        scope: what the caller must be allowed to do.
        own: whether end users are let through too. Then the route must ask `Caller.acts_for`.

    The key is sent as ``Authorization: Bearer KEY``, or as the password of HTTP Basic, so that a browser can open the
    dashboard. HTTP Basic is accepted for reading, and on the OpenDSR routes from programs.
    """

    async def dependency(request: Request) -> Caller:
        caller = await caller_of(request.scope)
        if not caller.confirmed and scope not in _FROM_MEMORY:
            raise DatabaseUnavailable
        if scope not in _NOT_COUNTED:
            await _count(request, caller)
        if scope not in caller.scopes or (caller.subject is not None and not own):
            raise Problem(
                HTTPStatus.FORBIDDEN, "missing-scope", f"This key lacks the scope {scope}.", scope=str(scope)
            )
        return caller

    return dependency


async def still_allowed(asked: Asked, scope: Scope) -> bool:
    """Whether the key or token of a request that is still being answered is still valid. True while nobody can tell."""
    authenticator: Authenticator = asked["app"].state.authenticator
    try:
        key = _presented_key(asked)
        caller = await authenticator.identify(key)
    except (DatabaseUnavailable, KeysUnavailable):
        return True
    return caller is not None and scope in caller.scopes


async def _count(request: Request, caller: Caller) -> None:
    limits: CallerLimits = request.app.state.caller_limits
    seconds = await limits.take(caller.name, end_user=caller.subject is not None)
    if seconds is not None:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "rate-limited",
            "This caller has sent too many requests.",
            headers={"Retry-After": str(seconds)},
        )


def _presented_key(asked: Asked) -> str:
    headers = Headers(scope=asked)
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    # A browser also sends Basic credentials with a form that another site makes it post. So accept them only for reads,
    # and from privacy tools, which know nothing else.
    if scheme.lower() == "basic" and (
        asked["method"] in ("GET", "HEAD") or _is_from_privacy_tool(asked, headers)
    ):
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _is_from_privacy_tool(asked: Asked, headers: Headers) -> bool:
    """Whether it is an OpenDSR request, of a kind that no page of another site can make a browser send: for DELETE, and
    for this content type, a browser asks the service first, which never agrees.
    """
    path = asked["path"].removeprefix(asked.get("root_path", ""))
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    return path.startswith("/opendsr/") and (asked["method"] == "DELETE" or is_json)
