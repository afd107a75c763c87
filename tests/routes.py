"""All routes of the application, and what they depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from docs.generate import document


def routes_of(app: FastAPI) -> list[APIRoute]:
    return list(document.routes_of(app.routes))


def depends_on(dependant: Dependant, wanted: Callable[..., Any]) -> bool:
    return any(
        dependency.call is wanted or depends_on(dependency, wanted) for dependency in dependant.dependencies
    )
