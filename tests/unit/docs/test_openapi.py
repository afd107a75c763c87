"""The OpenAPI document: what every operation says of itself, and how two documents are compared."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from jsonschema_rs import validator_for
from pydantic import TypeAdapter

from app.api_description import operation_id
from app.api_examples import ANSWERS, BODIES
from docs.generate.changes import changes
from docs.generate.document import application, document_of, routes_of
from tests.documents import REPOSITORY

APP = application()
DOCUMENT = document_of(APP)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


ROUTES = {operation_id(route): route for route in routes_of(APP.routes) if route.include_in_schema}


def test_every_operation_has_a_name_of_its_own_and_a_summary() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
    for name, operation in operations():
        assert 10 <= len(operation["summary"]) <= 120, name
        assert not operation["summary"].endswith("."), name


def test_every_answer_and_every_error_has_an_example() -> None:
    without = [
        f"{name} {status} {kind}"
        for name, operation in operations()
        for status, answer in operation["responses"].items()
        for kind, content in answer.get("content", {}).items()
        if kind.startswith("application/") and status != "503" and "example" not in content
    ]
    assert without == [], "app/api_examples/"


def test_no_example_is_of_an_operation_that_is_gone() -> None:
    assert {*ANSWERS, *BODIES} <= ROUTES.keys()


@pytest.mark.parametrize("name", [name for name, example in ANSWERS.items() if not isinstance(example, str)])
def test_the_example_is_an_answer_of_the_operation(name: str) -> None:
    adapter = TypeAdapter(ROUTES[name].response_model)
    answer = adapter.validate_json(json.dumps(ANSWERS[name]))
    # Nothing is missing, nothing is left over, and every value is written as the service writes it.
    assert adapter.dump_python(answer, mode="json") == ANSWERS[name]


@pytest.mark.parametrize("name", BODIES)
def test_the_example_is_a_body_of_the_operation(name: str) -> None:
    (operation,) = (one for _, one in operations() if one["operationId"] == name)
    bodies = dict(operation["requestBody"]["content"])
    for content in bodies.values():
        validator_for(content["schema"] | {"components": DOCUMENT["components"]}).validate(content["example"])
    assert bodies.pop("application/json")["example"] == BODIES[name]
    for content in bodies.values():
        # The same items, one on each line.
        assert [json.loads(line) for line in content["example"].splitlines()] == BODIES[name]["items"]


def changed(edit: str) -> list[str]:
    """What is said of a document in which ``edit`` was done."""
    after = deepcopy(DOCUMENT)
    listing = after["paths"]["/forget-requests"]["get"]
    schemas = after["components"]["schemas"]
    if edit == "operation":
        del after["paths"]["/adapters"]
    elif edit == "parameters":
        listing["parameters"] = [
            *listing["parameters"][1:],
            {"name": "subject", "in": "query", "required": True, "schema": {"type": "string"}},
            {"name": "regime", "in": "query", "schema": {"type": "string"}},
        ]
    elif edit == "schemas":
        view = schemas["ItemView"]
        del view["properties"]["title"]
        view["properties"]["rank"] = {"type": "integer"}
        view["properties"]["score"] = {"type": "string"}
        schemas["RunKind"]["enum"] = ["forget", "selection", "audit"]
    elif edit == "rest":
        listing["operationId"] = "worklist"
        del listing["responses"]["403"]
        schemas["ForgetBody"]["required"] = ["reason"]
        after["paths"]["/forget-requests"]["post"]["requestBody"]["content"]["application/json"][
            "schema"
        ] = {}
    return changes(DOCUMENT, after)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("nothing", []),
        ("operation", ["! operation GET /adapters removed"]),
        (
            "parameters",
            [
                "! GET /forget-requests: parameter subject added",
                "  GET /forget-requests: parameter regime added",
                "! GET /forget-requests: parameter status removed",
            ],
        ),
        (
            "schemas",
            [
                "! ItemView: field title removed",
                "  ItemView: field rank added",
                "! ItemView: field score changed",
                "! RunKind: value consolidation removed",
                "! RunKind: value audit added",
            ],
        ),
        (
            "rest",
            [
                "! POST /forget-requests: body changed",
                "! GET /forget-requests: operationId is worklist, was list_forget_requests",
                "! GET /forget-requests: answer 403 removed",
                "! ForgetBody: field reason is always there now, or needed",
            ],
        ),
    ],
)
def test_what_changed_is_said_line_by_line(edit: str, said: list[str]) -> None:
    assert changed(edit) == said


def test_a_revision_without_a_document_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.generate.changes", "no-such-revision"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no-such-revision has no docs/reference/openapi.json")
