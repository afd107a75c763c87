"""Static files, which are the same for everybody."""

from __future__ import annotations

from typing import Any

from fastapi.staticfiles import StaticFiles
from starlette.responses import Response


class PublicFiles(StaticFiles):
    """Static files. Unlike all other answers, caches may keep them for an hour."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response
