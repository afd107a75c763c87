"""The dashboard: all its pages, and what they keep while the gateway runs."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, FastAPI

from app.dashboard import (
    evidence,
    health,
    live,
    login,
    many,
    neighbour,
    receipts,
    requests,
    runs,
    versions,
    worklist,
)
from app.dashboard.access import SessionKeeper
from app.dashboard.pulse import Pulse
from app.gateway import Gateway
from app.latencies.history import Timed
from app.latencies.recorder import LatencyRecorder
from app.metrics import HttpMetrics, counts_of

router = APIRouter(include_in_schema=False)
for page in (login, live, worklist, many, receipts, neighbour, requests, runs, versions, health, evidence):
    router.include_router(page.router)


def open_dashboard(app: FastAPI, gateway: Gateway, metrics: HttpMetrics) -> None:
    """Set what the pages find in the state of the application."""
    app.state.session_keeper = SessionKeeper(gateway.database)
    app.state.pulse = Pulse(
        gateway.database,
        timedelta(seconds=gateway.settings.redispatch_seconds),
        # Most connections stay for callers.
        most=app.state.connections.limit // 4,
    )
    app.state.verifier = evidence.Verifier(gateway)
    app.state.pulse.start()
    app.state.latency_recorder = LatencyRecorder(
        gateway.database,
        gateway.engine.config.replica_id,
        {
            Timed.RECOMMENDATION: metrics.recommendations,
            Timed.SUPPRESSION: lambda: counts_of(gateway.engine.metrics.suppression_seconds),
        },
    )
    app.state.latency_recorder.start()


def close_dashboard(app: FastAPI) -> None:
    """End what `open_dashboard` has started."""
    app.state.pulse.stop()
    app.state.latency_recorder.stop()
