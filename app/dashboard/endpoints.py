"""The dashboard: all its pages, and what they keep while the gateway runs."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, FastAPI

from app.dashboard import evidence, health, live, login, requests, runs, versions, worklist
from app.dashboard.access import SessionKeeper
from app.gateway import Gateway

router = APIRouter(include_in_schema=False)
for page in (login, live, worklist, requests, runs, versions, health, evidence):
    router.include_router(page.router)


def open_dashboard(app: FastAPI, gateway: Gateway) -> None:
    """Set what the pages find in the state of the application."""
    app.state.session_keeper = SessionKeeper(gateway.database)
    app.state.pulse = live.Pulse(gateway.database, timedelta(seconds=gateway.settings.redispatch_seconds))
    app.state.verifier = evidence.Verifier(gateway)
