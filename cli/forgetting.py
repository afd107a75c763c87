"""`lethe forget USER`: sends the request to a running gateway, follows it, and describes what was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cli.failures import CommandError
from cli.gateway_client import GatewayAway, GatewayClient, checked_user
from cli.progress import watch

_LOOK_EVERY_SECONDS = 0.5
# The gateway may be restarted while this command waits. The request goes on without it, so the command waits as well.
_AWAY_SECONDS = 60.0
_STAGES = {
    "waiting": "waits for a worker",
    "ladder": "the worker edits and measures",
    "preparing": "the replicas prepare the new version",
    "published": "the replicas change over",
    "erasing": "events and older versions are destroyed",
}


def ask(
    gateway: GatewayClient, user_id: str, *, reason: str | None, client_reference: str | None
) -> dict[str, Any]:
    """Send a forget request. Returns the new request, or the user's existing one."""
    body = {"user_id": checked_user(user_id), "reason": reason, "client_reference": client_reference}
    return gateway.post(
        "/forget-requests", {name: value for name, value in body.items() if value is not None}
    )


def follow(gateway: GatewayClient, request: dict[str, Any]) -> dict[str, Any]:
    """Wait until the request is completed or needs attention. Returns its whole record.

    Raises:
        CommandError: the gateway refuses to show it, or is away for too long. The request goes on all the same.
    """
    path = f"/forget-requests/{request['id']}"
    answered = time.monotonic()
    with watch("forgetting") as show:
        while True:
            try:
                found = gateway.get(path)
                answered = time.monotonic()
                if found["done"] or found["status"] == "needs_attention":
                    return found
                _show(gateway, found, show)
            except GatewayAway:
                if time.monotonic() - answered >= _AWAY_SECONDS:
                    raise
                show("waits for the gateway to answer again")
            time.sleep(_LOOK_EVERY_SECONDS)


def _show(gateway: GatewayClient, request: dict[str, Any], show: Callable[[str], None]) -> None:
    if request["run"] is None:
        show(f"waits for {request['waits_for']}")
        return
    try:
        run = gateway.get(f"/runs/{request['run'].rpartition('/')[2]}")
    except GatewayAway:
        raise
    except CommandError:
        # The key may allow forget requests but not the reading of runs. Waiting does not need the run.
        show(f"waits for {request['waits_for']}")
        return
    stage = _STAGES.get(run["stage"], run["stage"])
    if run["stage"] == "ladder" and run["progress"]:
        stage = run["progress"]
    show(stage)


def describe(request: dict[str, Any]) -> list[str]:
    """Lines that say where the request stands, and every rung that was tried or skipped, if the record has them."""
    received, due = (datetime.fromisoformat(request[name]) for name in ("received_at", "due_at"))
    lines = [f"request {request['id']}, received {received:%Y-%m-%d %H:%M} UTC, due {due:%Y-%m-%d}"]
    if request["overdue"]:
        lines[0] += ", OVERDUE"
    if request.get("stalled"):
        lines[0] += f", STALLED as {request['status']}"
    lines += [_standing(request, received), *_rungs(request)]
    if request["status"] == "needs_attention":
        lines.append(
            "The user stays suppressed and the clock runs on. See the dashboard, mend what is the matter, and then "
            f"POST /forget-requests/{request['id']}/retry."
        )
    return lines


def _standing(request: dict[str, Any], received: datetime) -> str:
    if request["done"]:
        done = datetime.fromisoformat(request["completed_at"])
        if request["outcome"] == "no_data":
            return "completed: nothing that exists has read this user"
        return (
            f"completed after {_duration((done - received).total_seconds())}: what the service knew is erased"
        )
    if request["status"] == "needs_attention":
        return f"needs attention ({request['detail_code']})"
    waits = f"{request['status']}: waits for {request['waits_for']}"
    return f"{waits}. No recommendation is computed for this user from now on."


def _rungs(request: dict[str, Any]) -> list[str]:
    tried = [
        (
            attempt["started_at"],
            attempt["step"],
            attempt["method"],
            f"{attempt['why']} ({attempt['seconds']:.1f} s)",
        )
        for attempt in request.get("attempts", [])
    ]
    skipped = [
        (rung["skipped_at"], rung["step"], rung["method"], rung["why"]) for rung in request.get("skipped", [])
    ]
    in_order = sorted(tried + skipped, key=lambda rung: (datetime.fromisoformat(rung[0]), rung[1]))
    return [f"  rung {step}, {method}: {why}" for _, step, method, why in in_order]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
