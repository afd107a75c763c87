"""Errors in the API's OpenAPI description: the problems that a route can answer with, and their schema."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from app.errors import MEDIA_TYPE

_REFERENCE = {"$ref": "#/components/schemas/Problem"}
_TEXT = {"type": "string"}
_SCHEMA = {
    "title": "Problem",
    "description": "RFC 9457; further members depend on the code.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {**_TEXT, "pattern": "^urn:lethe:problem:[a-z-]+$"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "request_id": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {"pointer": _TEXT, "code": _TEXT, "message": _TEXT},
            },
        },
    },
}
_CASES = (
    (400, "invalid-request", "The body is not valid JSON."),
    (401, "unauthenticated", "Send a valid API key as 'Authorization: Bearer KEY'."),
    (403, "missing-scope", "This key lacks the scope forget:read."),
    (404, "not-found", "There is no such forget request."),
    (409, "illegal-transition", "Only a request that needs attention can be retried."),
    (413, "body-too-large", "The body exceeds 2097152 bytes; send it in parts."),
    (422, "validation-failed", "A value is missing or not allowed; see errors."),
    (429, "rate-limited", "This caller has sent too many requests."),
    (
        503,
        "database-unavailable",
        "Whether or not anything was accepted, the same request is safe to send again.",
    ),
)
# What each kind of problem has beside the members of all.
_MEMBERS: dict[str, dict[str, Any]] = {
    "invalid-request": {
        "errors": [{"pointer": "/body/0", "code": "json_invalid", "message": "JSON decode error"}]
    },
    "missing-scope": {"scope": "forget:read"},
    "illegal-transition": {"status_now": "queued"},
    "body-too-large": {"max_bytes": 2097152},
    "validation-failed": {
        "errors": [
            {
                "pointer": "/query/limit",
                "code": "less_than_equal",
                "message": "Input should be less than or equal to 500",
            }
        ]
    },
}
# Any route may get a body, even one that it does not read.
_EVERYWHERE = (400, 401, 403, 413, 422, 429, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: these statuses, and those of every route that needs a key."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _REFERENCE, "example": _example(status)}},
        }
        for status in sorted({*_EVERYWHERE, *statuses})
    }


def _example(status: int) -> dict[str, Any]:
    slug, detail = next((slug, detail) for case, slug, detail in _CASES if case == status)
    return {
        "type": f"urn:lethe:problem:{slug}",
        "title": slug.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": slug,
        "request_id": "34d61f3f7b224b4c976e9825db521522",
        **_MEMBERS.get(slug, {}),
    }


def with_problems(openapi: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description, extended by the schema that `problems` refers to."""
    components = openapi.get("components", {})
    schemas = components.get("schemas", {}) | {"Problem": _SCHEMA}
    return openapi | {"components": components | {"schemas": schemas}}
