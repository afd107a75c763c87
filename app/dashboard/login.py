"""Log-in with an API key, and log-out."""

from __future__ import annotations

import hmac
import secrets
from functools import partial
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.authentication import Authenticator, TooManyFailures
from app.dashboard.access import (
    LOG_IN_COOKIE,
    SESSION_COOKIE,
    SessionKeeper,
    Viewer,
    fields_of,
    form_of,
    only,
    set_cookie,
    viewer_of,
)
from app.dashboard.pages import MENU, PageRoute, go_to, render
from app.db.base import utc_now
from app.db.clock import database_now
from app.dependencies import GatewayDependency
from app.gateway import Gateway
from app.sessions import service as sessions
from app.sessions.service import LONGEST

log = structlog.get_logger()

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_LOG_IN_SECONDS = 3600
_NO_KEY = "That is not a valid key. It begins with lethe_ and may have expired or been revoked."
_FOREIGN = "The form was too old or from elsewhere. Send it again from this page."


@router.get("/login")
async def log_in_page(request: Request, next: str = "") -> Response:  # noqa: A002  (the name in the address)
    return _page(request, wanted=next)


@router.post("/login")
async def log_in(request: Request, gateway: GatewayDependency) -> Response:
    """Begin a session. Its token is new whatever cookie the browser had, so nobody can plant one."""
    fields = await fields_of(request)
    wanted = only(fields, "next")
    address = request.client.host if request.client else ""
    pledge = request.cookies.get(LOG_IN_COOKIE, "")
    if not pledge or not hmac.compare_digest(_proof(pledge).encode(), only(fields, "form_token").encode()):
        return _page(request, wanted=wanted, problem=_FOREIGN, status=HTTPStatus.FORBIDDEN)
    key = only(fields, "key").strip()
    authenticator: Authenticator = request.app.state.authenticator
    begun = None
    try:
        # Looked up before anything is written: a stranger's guesses must not lock the database.
        if await authenticator.identify(key, address) is not None:
            begun = await gateway.write(
                partial(
                    _begin,
                    gateway,
                    key,
                    request.cookies.get(SESSION_COOKIE),
                    looks_only=only(fields, "looks_only") == "yes",
                )
            )
    except TooManyFailures as error:
        told = f"Too many failed log-ins from this address. Try again in {error.seconds} seconds."
        page = _page(request, wanted=wanted, problem=told, status=HTTPStatus.TOO_MANY_REQUESTS)
        page.headers["Retry-After"] = str(error.seconds)
        return page
    if begun is None:
        log.warning("dashboard.log_in_refused")
        return _page(request, wanted=wanted, problem=_NO_KEY, status=HTTPStatus.UNAUTHORIZED)
    token, name = begun
    log.info("dashboard.logged_in", caller=name)
    answer = go_to(_own(wanted, gateway) or gateway.links.page())
    set_cookie(request, answer, SESSION_COOKIE, token, int(LONGEST.total_seconds()))
    set_cookie(request, answer, LOG_IN_COOKIE, "", 0)
    return answer


@router.post("/dashboard/logout")
async def log_out(
    request: Request,
    gateway: GatewayDependency,
    viewer: Annotated[Viewer, Depends(viewer_of)],
    _form: Annotated[dict[str, list[str]], Depends(form_of)],
) -> Response:
    if viewer.token is not None:
        await gateway.write(partial(_end, gateway, viewer.token))
        keeper: SessionKeeper = request.app.state.session_keeper
        keeper.forget(viewer.token)
        log.info("dashboard.logged_out", caller=viewer.name)
    answer = go_to(gateway.links.log_in())
    set_cookie(request, answer, SESSION_COOKIE, "", 0)
    return answer


@router.get("/dashboard")
async def first_page(gateway: GatewayDependency, viewer: Annotated[Viewer, Depends(viewer_of)]) -> Response:
    """The first page that the viewer's key opens."""
    return go_to(
        next((gateway.links.page(path) for _, path, scope in MENU if viewer.may(scope)), gateway.links.page())
    )


def _page(
    request: Request, *, wanted: str, problem: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Response:
    pledge = request.cookies.get(LOG_IN_COOKIE) or secrets.token_urlsafe(32)
    page = render(
        request,
        "login.html",
        viewer=None,
        now=utc_now(),
        status=status,
        proof=_proof(pledge),
        wanted=wanted,
        problem=problem,
    )
    set_cookie(request, page, LOG_IN_COOKIE, pledge, _LOG_IN_SECONDS)
    return page


def _proof(pledge: str) -> str:
    """What the form must carry. Another site can neither read the cookie nor derive this from it."""
    return sessions.form_token(pledge)


def _own(wanted: str, gateway: Gateway) -> str | None:
    """The address after the log-in, if it is one of our pages; any other could be a trap."""
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or "\\" in wanted or not wanted.startswith(gateway.links.page()):
        return None
    below = parts.path.removeprefix(gateway.links.root)
    return wanted if below == "/" or below.startswith("/dashboard/") else None


def _begin(gateway: Gateway, key: str, before: str | None, *, looks_only: bool) -> tuple[str, str] | None:
    with gateway.database.unit_of_work() as session:
        begun = sessions.begin(
            session, key, now=database_now(session), replaces=before, looks_only=looks_only
        )
        return None if begun is None else (begun[0], begun[1].name)


def _end(gateway: Gateway, token: str) -> None:
    with gateway.database.unit_of_work() as session:
        sessions.end(session, token)
