"""The API's OpenAPI document: names of operations, summaries, examples and error shapes."""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute

from app.api_examples import ANSWERS, BODIES
from app.problem_schema import with_problems


def operation_id(route: APIRoute) -> str:
    """The name of an operation, which clients rely on: that of its function.

    What is done to one forget request is named by a verb alone in code, and gets its noun here.
    """
    verb = "{request_id" in route.path and "_" not in route.name
    return f"{route.name}_forget_request" if verb else route.name


def described(openapi: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document with summaries from the docstrings, examples, and the schema of problems."""
    paths = {
        path: {method: _operation(operation) for method, operation in methods.items()}
        for path, methods in openapi["paths"].items()
    }
    return with_problems(openapi | {"paths": paths})


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    name = operation["operationId"]
    changed = operation | {"summary": _first_sentence(operation.get("description", name))}
    if name in BODIES:
        changed["requestBody"] = _with_example(operation["requestBody"], BODIES[name])
    if name in ANSWERS:
        changed["responses"] = {
            status: _with_example(answer, ANSWERS[name]) if status.startswith("2") else answer
            for status, answer in operation["responses"].items()
        }
    return changed


def _first_sentence(description: str) -> str:
    paragraph = " ".join(description.partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".").replace("``", "`")


def _with_example(described: dict[str, Any], example: Any) -> dict[str, Any]:
    (kind, content), *_ = described["content"].items()
    return described | {"content": described["content"] | {kind: content | {"example": example}}}
