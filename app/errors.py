"""Errors as problem documents (RFC 9457). No document ever quotes a value that the caller sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.db.errors import DatabaseUnavailable
from app.line_budget import LineBudget

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
ERRORS_SHOWN = 20
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
# Every request with a made-up key can cause such a log line, so limit them.
_DATABASE_LINES = LineBudget()


class Problem(Exception):
    """An error for the caller. ``slug`` names the kind of problem: docs/reference/problems.md lists them."""

    def __init__(
        self,
        status: HTTPStatus,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(slug)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions


class Refusal(ValueError):
    """Raised by our validators for an invalid value. The message never quotes the value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def not_found(what: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "not-found", f"There is no such {what}.")


def validation_failed(errors: Sequence[Mapping[str, str]]) -> Problem:
    """The problem of values that are missing or not allowed; it shows the first `ERRORS_SHOWN` of them."""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "validation-failed",
        "A value is missing or not allowed; see errors.",
        errors=list(errors[:ERRORS_SHOWN]),
    )


def value_refused(pointer: str, code: str, message: str) -> Problem:
    """The problem of one value, found after the body was read."""
    return validation_failed([{"pointer": pointer, "code": code, "message": message}])


def database_problem(error: DatabaseUnavailable) -> Problem:
    left_out = _DATABASE_LINES.take()
    if left_out is not None:
        more = {"left_out": left_out} if left_out else {}
        log.error("database.unavailable", error=type(error.__cause__).__name__, **more)
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database-unavailable",
        "Whether or not anything was accepted, the same request is safe to send again.",
        headers={"Retry-After": "2"},
    )


def problem_response(request: Request, problem: Problem) -> JSONResponse:
    document = {
        "type": f"urn:lethe:problem:{problem.slug}",
        "title": problem.slug.replace("-", " ").capitalize(),
        "status": problem.status.value,
        "detail": problem.detail,
        "code": problem.slug,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **problem.extensions,
    }
    return JSONResponse(document, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def described(item: Any) -> dict[str, str]:
    """One of pydantic's errors, without the value and without names that the caller has made up."""
    location = item["loc"]
    if item["type"] == "extra_forbidden":
        # Hide the name of an unexpected field: it is text from the caller.
        location = (*location[:-1], "?")
    pointer = "/" + "/".join(str(part) for part in location)
    refusal = item.get("ctx", {}).get("error")
    if isinstance(refusal, Refusal):
        return {"pointer": pointer, "code": refusal.code, "message": str(refusal)}
    return {"pointer": pointer, "code": item["type"], "message": item["msg"]}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error, whatever raised it, with a problem document."""

    @app.exception_handler(Problem)
    def on_problem(request: Request, error: Problem) -> JSONResponse:
        return problem_response(request, error)

    @app.exception_handler(RequestValidationError)
    def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Pydantic's own report contains the rejected input. Send only the place and the kind of each error.
        found = error.errors()
        malformed = any(item["type"] == "json_invalid" for item in found)
        errors = [described(item) for item in found[:ERRORS_SHOWN]]
        problem = (
            Problem(HTTPStatus.BAD_REQUEST, "invalid-request", "The body is not valid JSON.", errors=errors)
            if malformed
            else validation_failed(errors)
        )
        return problem_response(request, problem)

    @app.exception_handler(DatabaseUnavailable)
    def on_database(request: Request, error: DatabaseUnavailable) -> JSONResponse:
        return problem_response(request, database_problem(error))

    @app.exception_handler(HTTPException)
    def on_http(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        slug = status.phrase.lower().replace(" ", "-")
        headers = error.headers
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": ", ".join(_methods_at(request))}
        problem = Problem(status, slug, f"{status.phrase}.", headers=headers)
        return problem_response(request, problem)


def _methods_at(request: Request) -> list[str]:
    """What the path of the request can be asked with. Starlette names only the methods of the first route that fits."""
    methods = [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]
    # `addressing` answers HEAD where there is a GET.
    return [*methods, "HEAD"] if "GET" in methods else methods
