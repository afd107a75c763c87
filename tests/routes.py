"""All routes of the application, and what they depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute


def routes_of(app: FastAPI) -> list[APIRoute]:
    return list(_routes(app.routes))


def _routes(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif included := getattr(getattr(route, "original_router", None), "routes", None):
            yield from _routes(included)


def depends_on(dependant: Dependant, wanted: Callable[..., Any]) -> bool:
    return any(
        dependency.call is wanted or depends_on(dependency, wanted) for dependency in dependant.dependencies
    )
