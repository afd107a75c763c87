"""Middleware for every request: a correlation id, one log line, one metric by route, and a limit for bodies."""

from __future__ import annotations

import re
import time
import uuid
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import trace_context
from app.api_keys.authentication import caller_of
from app.db.errors import DatabaseUnavailable
from app.errors import Problem, database_problem, problem_response
from app.last_look import AnswerExpired
from app.line_budget import LineBudget
from app.logging import CORRELATION_HEADER
from app.metrics import HELD_BACK, HttpMetrics

log = structlog.get_logger()

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Headers of every answer: no other site may embed it, and no cache may keep it.
_UNLESS_SAID_OTHERWISE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_SAFE_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class RequestContext:
    """Adds a correlation id, and writes log line and metrics. They name the route's template, not the path (I8).

    A valid `traceparent` goes back as it came, and its trace into every log line of the request.
    """

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics
        self._lines_of_strangers = LineBudget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get(CORRELATION_HEADER, "")
        request_id = offered if _SAFE_CORRELATION_ID.match(offered) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        parent = Headers(scope=scope).get(trace_context.HEADER, "")
        trace = trace_context.trace_id(parent)
        if trace is not None:
            structlog.contextvars.bind_contextvars(trace_id=trace)
        status, answered = HTTPStatus.INTERNAL_SERVER_ERROR.value, False
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                headers = MutableHeaders(scope=message)
                headers[CORRELATION_HEADER] = request_id
                if trace is not None:
                    headers[trace_context.HEADER] = parent
                for name, value in _UNLESS_SAID_OTHERWISE.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except AnswerExpired:
            # The server closes the connection, because the answer is not complete. The client got no status.
            status = HELD_BACK
            log.warning("answer.held_back")
        except Exception as error:  # noqa: BLE001  (the last place that can answer)
            # Caught here because the server would log the exception's message, which can contain a user id.
            log.error("request.failed", error=type(error).__name__, place=_place(error))
            if not answered:
                problem = Problem(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    "internal-error",
                    "The request failed and nothing was changed; the log has it under this request_id.",
                )
                await problem_response(Request(scope), problem)(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path_format", "unmatched")
            # The caller can send any token as the method, but a label must come from a closed set.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.observe(method, route, status, seconds)
            self._write_line(scope, method=method, route=route, status=status, seconds=seconds)

    def _write_line(self, scope: Scope, *, method: str, route: str, status: int, seconds: float) -> None:
        # The metrics count all requests. Only callers get a line for each; lines of strangers are limited.
        left_out = 0 if scope.get("state", {}).get("caller") else self._lines_of_strangers.take()
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            milliseconds = round(seconds * 1e3, 1)
            log.info("request", method=method, route=route, status=status, milliseconds=milliseconds, **more)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


class BodyLimit:
    """Accepts bodies from callers only, and only up to a size.

    A body from somebody without a valid key, or with too large a declared length, is refused before any of it is read.
    A body without a declared length is refused as soon as it is too large. The forms of the dashboard are short, and
    their senders have a cookie or are about to get one, so the pages look at it themselves.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, *, forms: frozenset[str], form_bytes: int) -> None:
        """Set the limits.

        Args:
            forms: first segments of the paths that take forms from anybody.
            form_bytes: the most bytes of such a form.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._forms = forms
        self._form_bytes = form_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "0")
        segment = scope["path"].removeprefix(scope["root_path"]).removeprefix("/").partition("/")[0]
        is_form = segment in self._forms
        max_bytes = min(self._max_bytes, self._form_bytes) if is_form else self._max_bytes
        if not is_form and (declared != "0" or "transfer-encoding" in headers):
            try:
                await caller_of(scope)
            except Problem as problem:
                await problem_response(Request(scope), problem)(scope, receive, send)
                return
            except DatabaseUnavailable as error:
                await problem_response(Request(scope), database_problem(error))(scope, receive, send)
                return
        if not declared.isdigit() or int(declared) > max_bytes:
            await self._refuse(scope, receive, send, max_bytes)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > max_bytes:
                await self._refuse(scope, receive, send, max_bytes)
                return
            if not message.get("more_body", False):
                break
        complete: Message | None = {"type": "http.request", "body": bytes(body), "more_body": False}

        async def replay() -> Message:
            nonlocal complete
            if complete is None:
                return await receive()
            message, complete = complete, None
            return message

        await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        problem = Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body-too-large",
            f"The body exceeds {max_bytes} bytes; send it in parts.",
            max_bytes=max_bytes,
        )
        await problem_response(Request(scope), problem)(scope, receive, send)
