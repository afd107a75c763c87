"""Renders pages and their live parts, and answers errors with a page where a browser asks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.api_keys.service import Scope
from app.dashboard import words
from app.dashboard.access import SESSION_COOKIE, LogInNeeded, Viewer, asked_by_page
from app.db.base import utc_now
from app.db.errors import DatabaseUnavailable
from app.errors import Problem, database_problem, problem_response
from app.links import Links

# No script, style or image but our own files: no inline code, no attribute `style`, no other host.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Name, path and scope of each page, in the order of the menu.
MENU = (
    ("Worklist", "", Scope.FORGET_READ),
    ("Runs", "runs", Scope.RUNS_READ),
    ("Versions", "versions", Scope.ADAPTERS_READ),
    ("Health", "health", Scope.METRICS_READ),
    ("Evidence", "evidence", Scope.AUDIT_READ),
)

_environment = Environment(
    loader=PackageLoader("app", "dashboard/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "tone": words.tone,
    "sign": words.sign,
    "spoken": words.spoken,
    "awaited": words.awaited,
    "duration": words.duration,
    "bound": words.bound,
    "tail": words.tail,
    "short": words.short,
    "figure": words.figure,
    "settings": words.settings_of,
}
_environment.globals |= {"left": words.left, "between": words.between, "Scope": Scope}

_ADVICE = {
    HTTPStatus.FORBIDDEN: "Log in with a key that has this scope, or ask whoever issues keys for one.",
    HTTPStatus.NOT_FOUND: "It may be of another installation, or mistyped. The worklist has a search.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Nothing is lost: whatever was accepted stays accepted. Try again in a moment, "
    "and see lethe doctor if it goes on.",
    HTTPStatus.CONFLICT: "Somebody or something was faster. Load the page again to see what holds now.",
}


def render(
    request: Request,
    template: str,
    *,
    viewer: Viewer | None,
    now: datetime,
    current: str = "",
    status: HTTPStatus = HTTPStatus.OK,
    **context: Any,
) -> HTMLResponse:
    """A page, or only its live part where the page itself asks for news.

    Args:
        current: the entry of the menu that the page belongs to.
    """
    values = _values(request, viewer=viewer, now=now, current=current, **context)
    html = _environment.get_template(template).render(**values)
    return HTMLResponse(html, status, headers={"Content-Security-Policy": _POLICY, "Vary": "HX-Request"})


def _values(
    request: Request, *, viewer: Viewer | None, now: datetime, current: str, **context: Any
) -> dict[str, Any]:
    """What a template gets: what all pages need, and the page's own."""
    links: Links = Links(request.scope["root_path"])
    query = request.url.query
    return {
        "base": "live.html" if is_partial(request) else "layout.html",
        "viewer": viewer,
        "menu": [
            (name, links.page(path), name == current)
            for name, path, scope in MENU
            if viewer is not None and viewer.may(scope)
        ],
        # What the page asks for when there is news. The answer to a form has no address to ask at.
        "news": request.url.path + (f"?{query}" if query else "")
        if request.method in ("GET", "HEAD")
        else "",
        "mark": getattr(request.state, "mark", ""),
        "links": links,
        "now": now,
        **context,
    }


def rendered_in_parts(request: Request, template: str, *, viewer: Viewer, **context: Any) -> Response:
    """A page that is sent while it is made, for work that takes its time. Its generator runs in a thread."""
    values = _values(request, viewer=viewer, **context)
    parts = _environment.get_template(template).stream(**values)
    # About a row of a table at a time.
    parts.enable_buffering(16)
    return StreamingResponse(
        (str(part) for part in parts),
        media_type="text/html",
        # A proxy must not wait for the end.
        headers={"Content-Security-Policy": _POLICY, "X-Accel-Buffering": "no"},
    )


def addressed(path: str, **query: object) -> str:
    """A path with the values of a query that are not empty."""
    given = {name: value for name, value in query.items() if value not in (None, "", [], False)}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def go_to(address: str) -> RedirectResponse:
    """After a form: the browser loads this page, and a reload sends no form again."""
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


class PageRoute(APIRoute):
    """A route whose errors are pages for browsers, and problem documents for everybody else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_or_explain(request: Request) -> Response:
            try:
                return await answer(request)
            except LogInNeeded:
                return _log_in(request)
            except Problem as problem:
                return _explain(request, problem)
            except DatabaseUnavailable as error:
                return _explain(request, database_problem(error))
            except RequestValidationError:
                if not _is_browser(request):
                    raise
                told = "There is no such page, or its address has a wrong value."
                return _explain(request, Problem(HTTPStatus.NOT_FOUND, "not-found", told))

        return answer_or_explain


def is_partial(request: Request) -> bool:
    """Whether a page asks for its live part only."""
    return request.headers.get("hx-request") == "true"


def _is_by_script(request: Request) -> bool:
    return is_partial(request) or asked_by_page(request)


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not _is_by_script(request)


def _log_in(request: Request) -> Response:
    if not _is_browser(request):
        # A browser would answer this challenge with a window of its own, in the middle of a page that asks for news.
        challenge = (
            {}
            if _is_by_script(request)
            else {"WWW-Authenticate": 'Bearer realm="lethe", Basic realm="lethe"'}
        )
        problem = Problem(
            HTTPStatus.UNAUTHORIZED,
            "unauthenticated",
            "Send a valid API key as 'Authorization: Bearer KEY', or log in at /login.",
            headers=challenge,
        )
        return problem_response(request, problem)
    links = Links(request.scope["root_path"])
    query = f"?{request.url.query}" if request.url.query else ""
    here = request.url.path + query
    if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
        # The browser withholds the cookie where a link of another site leads here. From this page it sends it.
        return render(request, "arrival.html", viewer=None, now=utc_now(), target=here)
    wanted = "" if request.method != "GET" or here == links.page() else f"?next={quote(here, safe='')}"
    return go_to(links.log_in() + wanted)


def _explain(request: Request, problem: Problem) -> Response:
    if not _is_browser(request):
        return problem_response(request, problem)
    caller = request.scope.get("state", {}).get("caller")
    token = None if "authorization" in request.headers else request.cookies.get(SESSION_COOKIE)
    response = render(
        request,
        "error.html",
        viewer=None
        if caller is None
        else Viewer(caller.name, caller.scopes, token, getattr(caller, "looks_only", False)),
        now=utc_now(),
        status=problem.status,
        title=problem.slug.replace("-", " ").capitalize(),
        detail=problem.detail,
        advice=_ADVICE.get(problem.status, ""),
    )
    response.headers.update(problem.headers)
    return response
