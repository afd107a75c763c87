"""A transport of httpx that answers as the OpenAPI document says, and notes which operation was called."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from jsonschema_rs import validator_for

from docs.generate.document import application, document_of

DOCUMENT = document_of(application())
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation | {"method": method.upper(), "path": path}
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


class DescribedService(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers each call with the document's example, if path, query and body are what the document says."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        name, operation = next(
            (name, operation)
            for name, operation in OPERATIONS.items()
            if operation["method"] == request.method
            and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation["path"]), path)
        )
        self.called.append(name)
        described = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        assert {key for key, _ in request.url.params.multi_items()} <= described
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            if request.content or operation["requestBody"].get("required"):
                validator_for(schema | {"components": DOCUMENT["components"]}).validate(
                    json.loads(request.content)
                )
        else:
            assert request.content == b""
        status, answer = next(
            (int(key), one) for key, one in operation["responses"].items() if key.startswith("2")
        )
        if "content" not in answer:
            return httpx.Response(status)
        (kind, content), *_ = answer["content"].items()
        example = content.get("example", "# HELP\n")
        if kind == "application/json":
            return httpx.Response(status, json=example)
        return httpx.Response(status, text=example)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)
