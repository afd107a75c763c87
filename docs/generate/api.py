"""Every endpoint: the OpenAPI document, and the scope that a key needs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute

from app.api_keys.service import Scope
from docs.generate.document import application, document_of, routes_of
from docs.generate.markdown import paragraph, table

_HEAD = """# API

Written by `make docs` from the routes and their OpenAPI document, which a gateway shows at `/docs` and
`/openapi.json`; [openapi.json](openapi.json) is that of this release, and `python -m docs.generate.changes REVISION`
says how it differs from that of a revision. A key goes into the header `Authorization: Bearer KEY`. Errors are
[problem documents](problems.md). What an id may be and how it is written into a path: [data](data.md) and
[call the API](../how-to/call-the-api.md).
"""
# What is in the description of every route with a key.
_USUAL_ERRORS = {"400", "401", "403", "413", "422", "429", "503"}


def api_page() -> str:
    """One section for each route, then the bodies."""
    app = application()
    document = document_of(app)
    scopes = {(min(route.methods), route.path_format): _scope(route) for route in routes_of(app.routes)}
    lines = [_HEAD, "## Routes", ""]
    lines += table(["route", "scope of the key"], _overview(document, scopes))
    for path, method, operation in _operations(document):
        lines += [
            "",
            f"### {method.upper()} {path}",
            "",
            *_operation(operation, scopes[method.upper(), path]),
        ]
    lines += ["", "## Bodies", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"### {name}", "", *_schema(schema), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _scope(route: APIRoute) -> Scope | None:
    for dependency in route.dependant.dependencies:
        if dependency.call is not None:
            scope = inspect.getclosurevars(dependency.call).nonlocals.get("scope")
            if isinstance(scope, Scope):
                return scope
    return None


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _overview(document: dict[str, Any], scopes: dict[tuple[str, str], Scope | None]) -> Iterator[list[str]]:
    for path, method, _ in _operations(document):
        scope = scopes[method.upper(), path]
        anchor = re.sub(r"[^a-z0-9_-]", "", f"{method} {path}".replace(" ", "-"))
        yield [f"[`{method.upper()} {path}`](#{anchor})", f"`{scope}`" if scope else "none"]


def _operation(operation: dict[str, Any], scope: Scope | None) -> list[str]:
    lines = [paragraph(operation.get("description", "")), ""]
    lines += [f"Scope: `{scope}`." if scope else "No key is needed.", ""]
    parameters = operation.get("parameters", [])
    if parameters:
        rows = [
            [f"`{one['name']}`", one["in"], _type(one["schema"]), one.get("description", "")]
            for one in parameters
        ]
        lines += [*table(["parameter", "in", "type", "meaning"], rows), ""]
    body = operation.get("requestBody")
    if body:
        lines += [f"Body: {'; or '.join(_body(body['content']))}.", ""]
    answers = [
        [f"{status} {HTTPStatus(int(status)).phrase}", _content(answer), _when(status, answer)]
        for status, answer in sorted(operation["responses"].items())
        if status not in _USUAL_ERRORS or not _is_problem(answer)
    ]
    lines += table(["answer", "body", ""], answers)
    return lines


def _body(content: dict[str, Any]) -> Iterator[str]:
    for kind, one in content.items():
        if kind == "application/json":
            yield _type(one["schema"])
        else:
            yield f"as `{kind}`, {one['schema']['description']}"


def _when(status: str, answer: dict[str, Any]) -> str:
    told = str(answer.get("description", ""))
    return "" if told in ("Successful Response", HTTPStatus(int(status)).phrase) else told


def _is_problem(answer: dict[str, Any]) -> bool:
    return "application/problem+json" in answer.get("content", {})


def _content(answer: dict[str, Any]) -> str:
    if _is_problem(answer):
        return "[Problem](#problem)"
    content = answer.get("content", {})
    described = [_type(one["schema"]) if one.get("schema") else kind for kind, one in content.items()]
    return ", ".join(described)


def _schema(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("description"):
        yield paragraph(schema["description"])
        yield ""
    if "enum" in schema:
        yield "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."
        return
    required = schema.get("required", [])
    rows = [
        [f"`{name}`", _type(one), "yes" if name in required else "", one.get("description", "")]
        for name, one in schema["properties"].items()
    ]
    yield from table(["field", "type", "always", "meaning"], rows)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    return str(schema.get("format") or schema.get("type") or "any") + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    told = [
        f"{word} {schema[key]:,}"
        for key, word in (
            ("minimum", "from"), ("maximum", "to"), ("minLength", "from length"), ("maxLength", "to length"),
        )
        if key in schema
    ]  # fmt: skip
    return f" {' '.join(told)}" if told else ""
