"""GET /docs and /openapi.json: the API as OpenAPI, and a page that shows it. It loads nothing from other hosts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from app.api_description import described
from app.api_keys.authentication import require
from app.api_keys.service import Scope
from app.gateway import Gateway
from app.static_files import PublicFiles

_ASSETS = "/static/swagger-ui"
# The page has an inline script that contains the schema's address.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)


def add_docs(app: FastAPI, *, public: bool) -> None:
    """Add the routes of the documentation.

    Args:
        app: the application to describe and to extend.
        public: whether the documentation is readable without a key.
    """
    router = APIRouter(
        include_in_schema=False, dependencies=[] if public else [Depends(require(Scope.DOCS_READ))]
    )

    @router.get("/openapi.json")
    def openapi(request: Request) -> dict[str, Any]:
        root = request.scope["root_path"]
        document = deepcopy(described(app.openapi()))
        gateway: Gateway = app.state.gateway
        for parameter in document["paths"]["/recommend"]["get"]["parameters"]:
            if parameter["name"] == "k":
                parameter["schema"]["maximum"] = gateway.most_recommendations
        return document | ({"servers": [{"url": root}]} if root else {})

    @router.get("/docs", response_class=HTMLResponse)
    def docs(request: Request) -> HTMLResponse:
        root = request.scope["root_path"]
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title="Lethe",
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _POLICY
        return page

    app.include_router(router)
    app.mount(_ASSETS, PublicFiles(packages=[("fastapi_offline", "static")]), name="swagger-ui")
