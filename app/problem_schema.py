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
# Any route may get a body, even one that it does not read.
_EVERYWHERE = (401, 403, 413, 422, 429, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: these statuses, and those of every route that needs a key."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _REFERENCE}},
        }
        for status in sorted({*_EVERYWHERE, *statuses})
    }


def with_problems(openapi: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description, extended by the schema that `problems` refers to."""
    components = openapi.get("components", {})
    schemas = components.get("schemas", {}) | {"Problem": _SCHEMA}
    return openapi | {"components": components | {"schemas": schemas}}
