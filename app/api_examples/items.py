"""Examples of takedowns."""

from __future__ import annotations

from typing import Any

from app.api_examples.values import DIGEST, RUN

TAKEDOWN = "td_0c1f6a6a2f6c4a1a9f0de5b4b8a1c2d3"
_HIDDEN: dict[str, Any] = {
    "id": TAKEDOWN,
    "item_id": "isbn-3016",
    "status": "hidden",
    "in_catalogue": True,
    "client_reference": "legal-812",
    "taken_down_at": "2026-11-21T02:40:11.412000Z",
    "erased_at": None,
    "events_erased": 0,
    "run": None,
    "version": None,
    "parts": [
        {"name": "answers", "state": "exact", "detail": "none names the item, whatever computes it"},
        {
            "name": "adapter",
            "state": "not covered",
            "detail": "a version that exists may have read its events; the next consolidation fits without them",
        },
    ],
}
_ERASED: dict[str, Any] = _HIDDEN | {
    "status": "erased",
    "erased_at": "2026-11-21T03:12:40Z",
    "events_erased": 431,
    "run": f"/runs/{RUN}",
    "version": DIGEST,
    "parts": [
        {"name": "answers", "state": "exact", "detail": "none names the item, whatever computes it"},
        {
            "name": "adapter",
            "state": "re-fitted",
            "detail": "fitted without its events, and every version that may have read them is destroyed",
        },
    ],
}

BODIES: dict[str, Any] = {"forget_item": {"client_reference": "legal-812"}}
ANSWERS: dict[str, Any] = {
    "forget_item": _HIDDEN,
    "read_takedown": _ERASED,
    "list_takedowns": {"takedowns": [_HIDDEN], "next_cursor": None},
}
