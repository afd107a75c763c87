"""The API's OpenAPI document as a file, for whoever generates clients or compares releases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.api_description import described
from app.main import create_app
from app.settings import Settings


def application() -> FastAPI:
    """The application with settings of no installation."""
    return create_app(Settings(environment="development", _env_file=None))  # type: ignore[call-arg]


def routes_of(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """The routes of an application or router, those of included routers among them."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from routes_of(getattr(getattr(route, "original_router", None), "routes", ()))


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document that a gateway shows, without what depends on its settings."""
    return described(app.openapi())


def openapi_page() -> str:
    """The document as JSON, with a line for each value: a change of it is easy to review."""
    return json.dumps(document_of(application()), indent=1, ensure_ascii=False) + "\n"
