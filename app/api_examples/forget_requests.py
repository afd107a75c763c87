"""Examples of operations on forget requests."""

from __future__ import annotations

from typing import Any

from app.api_examples.telling import TARGET
from app.api_examples.values import MEASURE, PARTS, REQUEST, RUN, TRIED, VERDICT

_RECEIPTS = f"/forget-requests/{REQUEST}/receipts"
_FORGET: dict[str, Any] = {"reason": "withdrawn_consent", "client_reference": "zd-4411"}
_QUEUED: dict[str, Any] = {
    "id": REQUEST,
    "scope": "user",
    "selected_events": None,
    "status": "queued",
    "status_since": "2026-11-21T02:40:11.412000Z",
    "stalled": False,
    "waits_for": "a worker to claim the run",
    "done": False,
    "actions": ["cancel", "deny", "expedite", "extend", "hold"],
    "outcome": None,
    "detail_code": None,
    "subject_ref": "s_1d5354696072",
    "client_reference": "zd-4411",
    "suppression_epoch": 8812,
    "received_at": "2026-11-21T02:40:11.412000Z",
    "regime": "gdpr",
    "zone": "UTC",
    "acknowledge_by": None,
    "due_at": "2026-12-21T23:59:59Z",
    "overdue": False,
    "seconds_left": 2668787,
    "verify_until": None,
    "cancel_until": None,
    "extended_at": None,
    "review_at": None,
    "denial_proposed": False,
    "readmission_proposed": False,
    "readmitted_at": None,
    "completed_at": None,
    "withdrawn_at": None,
    "run": None,
    "receipts": {"acceptance": f"{_RECEIPTS}/acceptance", "completion": None},
}
_COMPLETED: dict[str, Any] = _QUEUED | {
    "status": "completed",
    "status_since": "2026-11-21T02:40:58Z",
    "waits_for": None,
    "done": True,
    "actions": ["readmit"],
    "outcome": "erased",
    "seconds_left": 2668740,
    "completed_at": "2026-11-21T02:40:58Z",
    "run": f"/runs/{RUN}",
    "receipts": {"acceptance": f"{_RECEIPTS}/acceptance", "completion": f"{_RECEIPTS}/completion"},
    "predicted_completion": None,
    "duties": [
        {"name": name, "state": state, "at": at, "detail_code": None}
        for name, state, at in (
            ("suppression", "done", "2026-11-21T02:40:11.412000Z"),
            ("model", "done", "2026-11-21T02:40:55Z"),
            ("replicas", "done", "2026-11-21T02:40:57Z"),
            ("training_set", "done", "2026-11-21T02:40:57Z"),
            ("old_versions", "done", "2026-11-21T02:40:58Z"),
            ("recipients", "done", "2026-11-21T02:40:58Z"),
        )
    ],
    "parts": PARTS,
    "targets": [TARGET],
    "first_step": 0,
    "attempts": [
        TRIED
        | {
            "run": f"/runs/{RUN}",
            "run_decision": "pass",
            "error": None,
            "reasons": [MEASURE],
            "subject": VERDICT,
        }
    ],
    "skipped": [],
}
_HELD: dict[str, Any] = _QUEUED | {
    "status": "on_hold",
    "status_since": "2026-11-21T02:40:30Z",
    "waits_for": "a person to end the hold: POST …/release",
    "actions": ["cancel", "deny", "extend", "release"],
    "review_at": "2026-12-01T09:00:00Z",
}
_DENIAL_PROPOSED: dict[str, Any] = _QUEUED | {"denial_proposed": True}
_WITHDRAWN: dict[str, Any] = _QUEUED | {
    "status": "cancelled",
    "status_since": "2026-11-21T02:41:00Z",
    "waits_for": None,
    "done": True,
    "actions": [],
    "outcome": "cancelled",
    "withdrawn_at": "2026-11-21T02:41:00Z",
}
_EXTENDED: dict[str, Any] = _QUEUED | {
    "actions": ["cancel", "deny", "expedite", "hold"],
    "due_at": "2027-02-21T23:59:59Z",
    "seconds_left": 8025587,
    "extended_at": "2026-11-23T10:00:00Z",
}
_EXPEDITED: dict[str, Any] = _QUEUED | {"actions": ["cancel", "deny", "extend", "hold"]}
_READMISSION: dict[str, Any] = {
    name: value for name, value in (_COMPLETED | {"readmission_proposed": True}).items() if name in _QUEUED
}

BODIES: dict[str, Any] = {
    "deny_forget_request": {"reason": "insufficient_verification"},
    "cancel_forget_request": {"reason": "changed_mind"},
    "hold_forget_request": {"reason": "legal_claims", "review_at": "2026-12-01T09:00:00Z"},
    "readmit_forget_request": {"reason": "new_consent"},
    "extend_forget_request": {"reason": "complexity", "subject_told": True},
    "expedite_forget_request": {"reason": "authority"},
    "forget": _FORGET,
    "forget_user_in_body": {"user_id": "auth0|5f7c8ec7c33c6c004bbafe82", **_FORGET},
}

ANSWERS: dict[str, Any] = {
    "forget": _QUEUED,
    "forget_user_in_body": _QUEUED,
    "list_forget_requests": {
        "forget_requests": [_QUEUED],
        "next_cursor": "0006632da7bb1dc0000000000000226c",
    },
    "read_forget_request": _COMPLETED,
    "retry_forget_request": _QUEUED,
    "verify_forget_request": _QUEUED,
    "approve_forget_request": _QUEUED,
    "deny_forget_request": _DENIAL_PROPOSED,
    "cancel_forget_request": _WITHDRAWN,
    "hold_forget_request": _HELD,
    "release_forget_request": _QUEUED,
    "readmit_forget_request": _READMISSION,
    "extend_forget_request": _EXTENDED,
    "expedite_forget_request": _EXPEDITED,
    "read_erasure_statistics": {
        "years": [
            {
                "year": 2026,
                "received": 130,
                "closed": 129,
                "open": 1,
                "overdue": 0,
                "median_days": 0.01,
                "outcomes": [
                    {"outcome": "erased", "requests": 119, "median_days": 0.011},
                    {"outcome": "no_data", "requests": 10, "median_days": 0.002},
                ],
            }
        ]
    },
}
