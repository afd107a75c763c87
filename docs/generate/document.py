"""The API's OpenAPI document as a file, for whoever generates clients or compares releases."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI

from app.api_description import described
from app.main import create_app
from app.settings import Settings


def application() -> FastAPI:
    """The application with settings of no installation."""
    return create_app(Settings(environment="development", _env_file=None))  # type: ignore[call-arg]


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document that a gateway shows, without what depends on its settings."""
    return described(app.openapi())


def openapi_page() -> str:
    """The document as JSON, with a line for each value: a change of it is easy to review."""
    return json.dumps(document_of(application()), indent=1, ensure_ascii=False) + "\n"
