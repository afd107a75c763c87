"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry, Gauge

from app.addressing import Addressing, HeadAsGet
from app.api_description import operation_id
from app.api_docs import add_docs
from app.api_keys.authentication import Authenticator
from app.api_keys.rate_limits import CallerLimits, FailedLogins
from app.connections import Connections
from app.consolidations import endpoints as consolidations
from app.dashboard import endpoints as dashboard
from app.dashboard.access import FORM_BYTES, FORM_PATHS
from app.db.limits import Limits
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.errors import install_error_handlers
from app.events import endpoints as events
from app.forget_batches import endpoints as forget_batches
from app.forget_requests import decision_endpoints as decisions
from app.forget_requests import endpoints as forget_requests
from app.forget_requests import list_endpoint as forget_request_list
from app.forget_requests import verification_endpoint as verification
from app.gateway import Gateway
from app.health import endpoints as health
from app.interactions import endpoints as interactions
from app.logging import configure_logging
from app.metrics import ConsolidationMetrics, HttpMetrics, QueueMetrics, RunMetrics
from app.middleware import BodyLimit, RequestContext
from app.oidc.tokens import TokenVerifier
from app.opendsr import endpoints as opendsr
from app.receipts import endpoints as receipts
from app.recommendations import endpoints as recommendations
from app.runs import endpoints as runs
from app.settings import Settings, get_settings
from app.signing import endpoints as signing
from app.static_files import PublicFiles
from app.statistics import endpoints as statistics
from app.takedowns import endpoints as takedowns
from app.targets import endpoints as targets
from app.transparency import endpoints as transparency
from app.versions import endpoints as adapters
from app.versions import rollback_endpoint
from app.webhooks import endpoints as webhooks


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application. Nothing is opened before its lifespan starts."""
    settings = settings or get_settings()
    configure_logging(settings.log_format, program="gateway")
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(open_database(settings.database_url, limits=_limits(settings)))
        try:
            gateway = await anyio.to_thread.run_sync(_open_gateway, settings, database, registry)
        except Exception as error:
            # The server only logs that the start failed. The command line reads the reason here.
            app.state.startup_error = error
            database.dispose()
            raise
        app.state.gateway = gateway
        app.state.authenticator = Authenticator(
            gateway.reader,
            settings.key_lease_seconds,
            TokenVerifier.of(settings, gateway.subject_key),
            FailedLogins(settings.failed_logins),
        )
        app.state.caller_limits = CallerLimits.of(settings)
        dashboard.open_dashboard(app, gateway, metrics)
        gateway.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(dashboard.close_dashboard, app)
            await anyio.to_thread.run_sync(gateway.stop)
            await app.state.caller_limits.close()
            database.dispose()

    app = FastAPI(
        title="Lethe",
        summary="Forget users inside a fine-tuned recommendation model, and keep the record.",
        version="0.1.0",
        lifespan=lifespan,
        # A redirect would decode the id in the path a second time, and could reach another user.
        redirect_slashes=False,
        openapi_url=None,
        routes=[*_rooms().routes],
        generate_unique_id_function=operation_id,
    )
    app.state.startup_error = None
    # The server, which handles connections, reads the limits here.
    app.state.connections = Connections(
        settings.max_connections,
        head_seconds=settings.request_head_seconds,
        body_seconds=settings.request_body_seconds,
        registry=registry,
    )
    add_docs(app, public=settings.environment == "development")
    app.mount("/static", PublicFiles(packages=[("app", "dashboard/static")]), name="static")
    install_error_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, forms=FORM_PATHS, form_bytes=FORM_BYTES)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Addressing, root_path=settings.root_path)
    app.add_middleware(RequestContext, metrics=metrics)
    # Build all routes and schemas now. FastAPI builds them when asked for them, and changes the process-wide warning
    # filters meanwhile. A thread that loads a model does the same, and the two could restore each other's filters.
    app.openapi_schema = _openapi(app)
    return app


@cache
def _rooms() -> APIRouter:
    """The routes. No setting changes one, so all applications of a process share them."""
    routes = APIRouter(generate_unique_id_function=operation_id)
    for room in (
        # First, because routes are tried in this order and this one is asked most.
        recommendations,
        # Before the routes of requests, whose ids may hold anything.
        receipts,
        forget_requests,
        decisions,
        verification,
        forget_request_list,
        statistics,
        forget_batches,
        consolidations,
        takedowns,
        interactions,
        runs,
        adapters,
        rollback_endpoint,
        events,
        webhooks,
        targets,
        health,
        dashboard,
        signing,
        transparency,
        opendsr,
    ):
        routes.include_router(room.router)
    return routes


_DOCUMENTS: list[dict[str, Any]] = []


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, which all applications of a process share too."""
    if not _DOCUMENTS:
        _DOCUMENTS.append(app.openapi())
    for _ in iter_route_contexts(app.routes):
        pass
    return _DOCUMENTS[0]


def _limits(settings: Settings) -> Limits:
    """Limits for the gateway, whose callers wait for answers."""
    return Limits(
        connect_seconds=settings.database_connect_seconds,
        checkout_seconds=settings.database_checkout_seconds,
        lock_seconds=0.8 * settings.database_silence_seconds,
        statement_seconds=120.0,
        silence_seconds=settings.database_silence_seconds,
    )


def _open_gateway(settings: Settings, database: Database, registry: CollectorRegistry) -> Gateway:
    require_current_schema(database.engine)
    gateway = Gateway(settings, database, registry)
    registry.register(QueueMetrics(database, gateway.request_policy.longest_hours))
    registry.register(RunMetrics(database))
    registry.register(ConsolidationMetrics(database))
    waiting = Gauge(
        "lethe_forget_requests_in_line",
        "Requests in a writing thread that wait for the next transaction.",
        registry=registry,
    )
    waiting.set_function(lambda: gateway.group_commit.waiting)
    return gateway
