"""Examples of operations on batches."""

from __future__ import annotations

from typing import Any

from app.api_examples.values import REQUEST

_BATCH: dict[str, Any] = {
    "id": "fb_0f8a6c1f5f3e4c5f9d6b7a8c9d0e1f2a",
    "received_at": "2026-11-21T02:40:11.412000Z",
    "size": 2,
    "results": {"accepted": 1, "existing": 0, "invalid": 1},
    "statuses": {"queued": 1},
    "done": False,
}
_INVALID: list[dict[str, Any]] = [{"pointer": "/user_id", "code": "missing", "message": "Field required"}]
_BATCH_ITEMS: list[dict[str, Any]] = [
    {
        "position": 0,
        "result": "accepted",
        "request": f"/forget-requests/{REQUEST}",
        "status": "queued",
        "errors": [],
    },
    {"position": 1, "result": "invalid", "request": None, "status": None, "errors": _INVALID},
]
_ITEMS: dict[str, Any] = {"items": [{"user_id": "user-17"}, {"client_reference": "zd-4412"}]}

BODIES: dict[str, Any] = {
    "forget_many": _ITEMS,
    "try_many": _ITEMS,
}

ANSWERS: dict[str, Any] = {
    "forget_many": _BATCH | {"items": _BATCH_ITEMS},
    "try_many": {
        "results": {"new": 1, "existing": 0, "invalid": 1},
        "items": [
            {"position": 0, "result": "new", "errors": []},
            {"position": 1, "result": "invalid", "errors": _INVALID},
        ],
    },
    "read_batch": _BATCH,
    "read_batch_items": {"items": _BATCH_ITEMS},
}
