"""Who looks at a page: by the cookie of a session, or by an API key as everywhere else.

The cookie opens pages and their forms only. The API never takes it, so no other site can make a browser call the API.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request, Response

from app.api_keys.authentication import REVALIDATE_SECONDS, Caller, caller_of
from app.api_keys.service import Scope
from app.dashboard.pulse import Pulse
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.errors import Problem
from app.sessions import queries as sessions
from app.sessions import service
from app.sessions.service import USED_EVERY

SESSION_COOKIE = "lethe_session"
LOG_IN_COOKIE = "lethe_log_in"
FORM_TOKEN = "form_token"  # noqa: S105  (the name of a field)
# No form of a page is longer. Such a body is read before it is known whose it is.
FORM_BYTES = 16 * 1024
FORM_PATHS = frozenset({"dashboard", "login"})
_FIELDS = 500
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_LOOKUPS = 4
_REMEMBERED = 1024


class LogInNeeded(Exception):
    """There is no valid session and no valid key."""


@dataclass(frozen=True)
class Viewer:
    """Somebody who looks at a page. ``token`` is that of the session; None for a caller who sent an API key.

    ``looks_only``: the session was begun to change nothing; ``scopes`` has none that does.
    """

    name: str
    scopes: frozenset[str]
    token: str | None = field(default=None, repr=False)
    looks_only: bool = False

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    @property
    def form_token(self) -> str:
        return "" if self.token is None else service.form_token(self.token)


@dataclass(frozen=True)
class Person(Caller):
    """The holder of a session."""

    looks_only: bool = False


@dataclass(frozen=True)
class _Known:
    caller: Person
    good_until: float
    written_at: float


class SessionKeeper:
    """Looks sessions up, and remembers a valid one for as long as a valid key is remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._limiter = CapacityLimiter(_LOOKUPS)

    async def find(self, token: str, *, by_person: bool) -> Person | None:
        """Whose session this is; None if it has ended.

        Args:
            by_person: whether a person caused the request. What a page does by itself keeps no session alive.

        Raises:
            DatabaseUnavailable: the session cannot be looked up, and is not remembered.
        """
        if not _TOKEN.fullmatch(token):
            return None
        now = time.monotonic()
        with self._lock:
            known = self._known.get(service.digest_of(token))
        stale_use = known is not None and now - known.written_at > USED_EVERY.total_seconds()
        if known is not None and now < known.good_until and not (by_person and stale_use):
            return known.caller
        return await run_sync(self._look_up, token, by_person, limiter=self._limiter)

    def forget(self, token: str) -> None:
        """Drop what is remembered of a session, because it has ended. Other gateways do so within seconds."""
        with self._lock:
            self._known.pop(service.digest_of(token), None)

    def _look_up(self, token: str, by_person: bool) -> Person | None:
        digest = service.digest_of(token)
        with self._database.read() as session:
            found = sessions.find_open(session, token, database_now(session))
        now = time.monotonic()
        if found is None:
            self.forget(token)
            return None
        used = found.used
        if by_person and used > USED_EVERY:
            with self._database.unit_of_work() as session:
                service.use(session, digest, database_now(session))
            used = USED_EVERY * 0
        caller = Person(found.name, found.scopes, looks_only=found.looks_only)
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            seconds = min(REVALIDATE_SECONDS, found.left.total_seconds())
            self._known[digest] = _Known(caller, now + seconds, now - used.total_seconds())
        return caller


async def viewer_of(request: Request) -> Viewer:
    """Who asks for this page.

    Raises:
        LogInNeeded: nobody that is known.
        Problem: 401, an API key was sent and is not valid.
        DatabaseUnavailable: neither can be looked up.
    """
    viewer = await _who(request)
    # Taken before the page reads anything: what changes meanwhile is news to it.
    pulse: Pulse = request.app.state.pulse
    request.state.mark = pulse.recent or (await run_sync(pulse.mark) if request.method == "GET" else "")
    return viewer


async def _who(request: Request) -> Viewer:
    if "authorization" in request.headers:
        caller = await caller_of(request.scope)
        if not caller.confirmed:
            raise DatabaseUnavailable
        if caller.subject is not None:
            # An end user's scopes hold for their own requests, and pages show those of all.
            raise Problem(HTTPStatus.FORBIDDEN, "missing-scope", "The dashboard is not for end users.")
        return Viewer(caller.name, caller.scopes)
    token = request.cookies.get(SESSION_COOKIE, "")
    keeper: SessionKeeper = request.app.state.session_keeper
    found = await keeper.find(token, by_person=not asked_by_page(request))
    if found is None:
        raise LogInNeeded
    # The server and the log treat this connection as one of a caller.
    request.scope.setdefault("state", {})["caller"] = found
    return Viewer(found.name, found.scopes, token, found.looks_only)


def viewer_with(scope: Scope) -> Callable[[Request], Awaitable[Viewer]]:
    """A dependency that lets only viewers with this scope through."""

    async def dependency(request: Request) -> Viewer:
        viewer = await viewer_of(request)
        if not viewer.may(scope):
            raise Problem(
                HTTPStatus.FORBIDDEN, "missing-scope", f"This key lacks the scope {scope}.", scope=str(scope)
            )
        return viewer

    return dependency


def asked_by_page(request: Request) -> bool:
    """Whether the page itself asks, to stay up to date, and not a person. A stream cannot send a header of its own."""
    return request.headers.get("lethe-live") == "1" or "text/event-stream" in request.headers.get(
        "accept", ""
    )


async def fields_of(request: Request) -> dict[str, list[str]]:
    """The fields of a form, from a page of ours: none of another site gets through.

    Raises:
        Problem: the form is from elsewhere, or not a form.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise _foreign()
    if request.headers.get("content-type", "").partition(";")[0].strip() != (
        "application/x-www-form-urlencoded"
    ):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Send the form of a page.")
    try:
        pairs = parse_qsl(
            (await request.body()).decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "invalid-request", "The form cannot be read.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


async def form_of(request: Request) -> dict[str, list[str]]:
    """The fields of a form of this viewer's own session.

    Raises:
        Problem: 403, the form is another session's or another site's.
        LogInNeeded: the session has ended.
    """
    viewer, fields = await viewer_of(request), await fields_of(request)
    if viewer.token is not None and not hmac.compare_digest(
        viewer.form_token.encode(), only(fields, FORM_TOKEN).encode()
    ):
        raise _foreign()
    return fields


def only(fields: dict[str, list[str]], name: str) -> str:
    """The value of a field that a form has once; empty if it is missing."""
    return fields.get(name, [""])[0]


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """A cookie that only the server reads, and that no other site makes the browser send."""
    root = request.scope["root_path"]
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=f"{root}/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _foreign() -> Problem:
    return Problem(
        HTTPStatus.FORBIDDEN,
        "foreign-form",
        "The form is not from this session: load the page again, and send it from there.",
    )
