"""Examples of bodies and answers about webhooks and recipients; see `app.api_examples`."""

from __future__ import annotations

from typing import Any

_ENDPOINT: dict[str, Any] = {
    "id": "we_2f1d6c1b7c0f4a3f9a53e0b6c1d0e7aa",
    "name": "crm",
    "url": "https://hooks.example.com/lethe",
    "events": ["forget.completed", "forget.needs_attention"],
    "recipient": None,
    "protocol": "standard",
    "state": "active",
    "disabled_reason": None,
    "created_at": "2026-11-20T09:00:00Z",
    "failing_since": None,
}
_DELIVERY: dict[str, Any] = {
    "id": "wd_64a4b7f0a1de4f0c8e3f0f3d6a0b9c11",
    "endpoint_id": _ENDPOINT["id"],
    "sequence": 4711,
    "name": "forget.completed",
    "state": "delivered",
    "attempts": 1,
    "created_at": "2026-11-21T02:40:58Z",
    "due_at": None,
    "last_at": "2026-11-21T02:40:59Z",
    "last_code": "delivered",
    "last_status": 204,
}
TARGET: dict[str, Any] = {
    "name": "retriever",
    "mandatory": True,
    "state": "acknowledged",
    "at": "2026-11-21T02:40:57Z",
}

BODIES: dict[str, Any] = {
    "register_webhook_endpoint": {
        "name": "crm",
        "url": "https://hooks.example.com/lethe",
        "events": ["forget.completed", "forget.needs_attention"],
    },
    "replay_webhook_events": {"first": 4000, "last": 4711},
}
ANSWERS: dict[str, Any] = {
    "register_webhook_endpoint": _ENDPOINT
    | {
        "state": "pending",
        "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "public_key": "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
    },
    "list_webhook_endpoints": {"endpoints": [_ENDPOINT]},
    "read_webhook_endpoint": _ENDPOINT,
    "challenge_webhook_endpoint": _ENDPOINT | {"state": "pending"},
    "replay_webhook_events": {"events": 12},
    "list_webhook_deliveries": {"deliveries": [_DELIVERY]},
    "redeliver_webhook": _DELIVERY | {"state": "pending", "attempts": 0, "due_at": "2026-11-22T08:00:00Z"},
    "acknowledge_target": TARGET,
}
