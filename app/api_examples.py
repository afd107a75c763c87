"""Examples of bodies and answers, by the operation's name. The OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

from app.telling_examples import TARGET, TELLING_ANSWERS, TELLING_BODIES

_REQUEST = "fr_4bf8fd21bb1b44e8956b9c0e170381fb"
_RUN = "ur_95c08a0a2fab45a5bd0a1b5c854e3642"
_DIGEST = "20242fc5f57ee0643fa850b68562be2c6b4f577541feafb122ec339a3a47b1a3"
_PARENT = "7f3b2c7de6d5a1c0b5f0f1d7a3c9e8b4a6d2c1e0f9a8b7c6d5e4f3a2b1c0d9e8"
_POLICY = "c0a1d3f5b7e9c0a1d3f5b7e9c0a1d3f5b7e9c0a1d3f5b7e9c0a1d3f5b7e9c0a1"
_RECEIPTS = f"/forget-requests/{_REQUEST}/receipts"
_FORGET: dict[str, Any] = {"reason": "withdrawn_consent", "client_reference": "zd-4411"}
_QUEUED: dict[str, Any] = {
    "id": _REQUEST,
    "scope": "user",
    "selected_events": None,
    "status": "queued",
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
    "due_at": "2026-12-21T23:59:59Z",
    "overdue": False,
    "seconds_left": 2668787,
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
_PARTS: list[dict[str, Any]] = [
    {
        "name": "adapter",
        "state": "edited",
        "detail": "attenuated until the gate's measures passed, for whoever it had read",
    },
    {"name": "answers", "state": "exact", "detail": "cached answers are dropped at the suppression"},
]
_TRIED: dict[str, Any] = {
    "number": 0,
    "step": 0,
    "method": "ucan",
    "config": {"attenuation": 0.5},
    "search": None,
    "started_at": "2026-11-21T02:40:14Z",
    "finished_at": "2026-11-21T02:40:16.500000Z",
    "seconds": 2.5,
    "decision": "pass",
    "accepted": True,
    "why": "every measure lies within its bounds",
}
_MEASURE: dict[str, Any] = {
    "measure": "memory",
    "value": 0.02,
    "low": None,
    "high": 0.1,
    "passed": True,
    "detail": "",
    "binding": True,
}
_VERDICT: dict[str, Any] = {
    "request": f"/forget-requests/{_REQUEST}",
    "decision": "pass",
    "reasons": [_MEASURE],
    "in_batch": False,
}
_COMPLETED: dict[str, Any] = _QUEUED | {
    "status": "completed",
    "waits_for": None,
    "done": True,
    "actions": ["readmit"],
    "outcome": "erased",
    "seconds_left": 2668740,
    "completed_at": "2026-11-21T02:40:58Z",
    "run": f"/runs/{_RUN}",
    "receipts": {"acceptance": f"{_RECEIPTS}/acceptance", "completion": f"{_RECEIPTS}/completion"},
    "parts": _PARTS,
    "targets": [TARGET],
    "first_step": 0,
    "attempts": [
        _TRIED
        | {
            "run": f"/runs/{_RUN}",
            "run_decision": "pass",
            "error": None,
            "reasons": [_MEASURE],
            "subject": _VERDICT,
        }
    ],
    "skipped": [],
}
_FINISHED: dict[str, Any] = {
    "id": _RUN,
    "kind": "forget",
    "reason": None,
    "status": "completed",
    "stage": "done",
    "progress": None,
    "created_at": "2026-11-21T02:40:11.412000Z",
    "started_at": "2026-11-21T02:40:12Z",
    "finished_at": "2026-11-21T02:40:58Z",
    "claims": 1,
    "parent": _PARENT,
    "version": _DIGEST,
    "covers_epoch": 8813,
    "policy_hash": _POLICY,
    "detail_code": None,
    "detail": None,
}
_CONSOLIDATION: dict[str, Any] = _FINISHED | {
    "kind": "consolidation",
    "reason": "on_demand",
    "status": "queued",
    "stage": "waiting",
    "started_at": None,
    "finished_at": None,
    "claims": 0,
    "parent": None,
    "version": None,
    "covers_epoch": None,
    "policy_hash": None,
}
_VERSION: dict[str, Any] = {
    "digest": _DIGEST,
    "parent": _PARENT,
    "forget_epoch": 8813,
    "method": "ucan",
    "exact": False,
    "subjects": 1,
    "utility_change": -0.001,
    "run": f"/runs/{_RUN}",
    "published_at": "2026-11-21T02:40:50Z",
    "destroyed_at": None,
    "live": True,
    "eligible": True,
    "parts": _PARTS,
}
_REPLICA: dict[str, Any] = {
    "id": "gateway-1-eb82af3c",
    "last_seen_at": "2026-11-21T02:41:00Z",
    "generation": 12,
    "version": _DIGEST,
    "ready": None,
    "epoch": 8813,
    "resident_versions": [_DIGEST],
    "error": None,
}

_HELD: dict[str, Any] = _QUEUED | {
    "status": "on_hold",
    "waits_for": "a person to end the hold: POST …/release",
    "actions": ["cancel", "deny", "extend", "release"],
    "review_at": "2026-12-01T09:00:00Z",
}
_DENIAL_PROPOSED: dict[str, Any] = _QUEUED | {"denial_proposed": True}
_WITHDRAWN: dict[str, Any] = _QUEUED | {
    "status": "cancelled",
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

_BATCH: dict[str, Any] = {
    "id": "fb_0f8a6c1f5f3e4c5f9d6b7a8c9d0e1f2a",
    "received_at": "2026-11-21T02:40:11.412000Z",
    "size": 2,
    "results": {"accepted": 1, "existing": 0, "invalid": 1},
    "statuses": {"queued": 1},
    "done": False,
}
_INVALID: list[dict[str, Any]] = [
    {"pointer": "/items/1/user_id", "code": "missing", "message": "Field required"}
]
_BATCH_ITEMS: list[dict[str, Any]] = [
    {
        "position": 0,
        "result": "accepted",
        "request": f"/forget-requests/{_REQUEST}",
        "status": "queued",
        "errors": [],
    },
    {"position": 1, "result": "invalid", "request": None, "status": None, "errors": _INVALID},
]
_ITEMS: dict[str, Any] = {"items": [{"user_id": "user-17"}, {"client_reference": "zd-4412"}]}
_HASH = "5b0f3cf4a1b1b0d4f8d9c6a7e5f4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2"
# Its parts are not those of a real receipt.
_RECEIPT = "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJleGFtcGxlIn0.c2lnbmF0dXJl"

BODIES: dict[str, Any] = TELLING_BODIES | {
    "forget_many": _ITEMS,
    "try_many": _ITEMS,
    "deny_forget_request": {"reason": "insufficient_verification"},
    "cancel_forget_request": {"reason": "changed_mind"},
    "hold_forget_request": {"reason": "legal_claims", "review_at": "2026-12-01T09:00:00Z"},
    "readmit_forget_request": {"reason": "new_consent"},
    "extend_forget_request": {"reason": "complexity", "subject_told": True},
    "expedite_forget_request": {"reason": "authority"},
    "forget": _FORGET,
    "forget_user_in_body": {"user_id": "auth0|5f7c8ec7c33c6c004bbafe82", **_FORGET},
}

ANSWERS: dict[str, Any] = TELLING_ANSWERS | {
    "forget": _QUEUED,
    "forget_user_in_body": _QUEUED,
    "list_forget_requests": {
        "forget_requests": [_QUEUED],
        "next_cursor": "0006632da7bb1dc0000000000000226c",
    },
    "read_forget_request": _COMPLETED,
    "retry_forget_request": _QUEUED,
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
    "consolidate": _CONSOLIDATION,
    "recommend": {
        "items": [{"item_id": "1193", "title": "One Flew Over the Cuckoo's Nest (1975)", "score": -2.25}],
        "personalised": True,
        "fallback_reason": None,
        "version": _DIGEST,
        "generation": 12,
        "retriever": None,
    },
    "ingest": {"stored": 998, "duplicates": 1, "dropped_suppressed": 1, "dropped_unknown_item": 0},
    "list_runs": {"runs": [_FINISHED]},
    "read_run": _FINISHED
    | {
        "requests": [f"/forget-requests/{_REQUEST}"],
        "attempts": [
            _TRIED
            | {
                "fence": 8813,
                "requests": [f"/forget-requests/{_REQUEST}"],
                "verdict": {
                    "error": None,
                    "decision": "pass",
                    "run_decision": "pass",
                    "policy_hash": _POLICY,
                    "reasons": [_MEASURE],
                    "subjects": [_VERDICT],
                },
                "report": {},
            }
        ],
        "skipped": [
            {
                "step": 1,
                "method": "npo",
                "config": {},
                "reason": "by_record",
                "why": "it has not passed in earlier runs",
                "skipped_at": "2026-11-21T02:40:13Z",
                "run": f"/runs/{_RUN}",
            }
        ],
    },
    "list_adapters": {
        "generation": 12,
        "live": _DIGEST,
        "previous": _PARENT,
        "candidate": None,
        "erasure_floor": 8813,
        "consolidation": {
            "last_exact_fit": "2026-11-01T03:00:00Z",
            "items": [{"name": "attenuated_subjects", "spent": 4.0, "limit": 20.0, "left": 16.0}],
        },
        "versions": [_VERSION],
        "replicas": [_REPLICA],
    },
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
    "read_acceptance": _RECEIPT,
    "read_completion": _RECEIPT,
    "read_checkpoint": "lethe\n8813\nWw889KGxsNT42can5fTTwrGgn459bFtKOSgXBvXk08I=\n\n— lethe c2lnbmF0dXJl\n",
    "read_entries": {
        "size": 8813,
        "entries": [{"sequence": 1, "leaf": '{"event":"version.installed"}', "leaf_hash": _HASH}],
    },
    "prove_inclusion": {
        "entry": 1,
        "index": 0,
        "size": 2,
        "leaf_hash": _HASH,
        "root": _DIGEST,
        "proof": [_PARENT],
    },
    "prove_consistency": {
        "first": 1,
        "second": 2,
        "first_root": _HASH,
        "second_root": _DIGEST,
        "proof": [_PARENT],
    },
    "key_set": {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": "2026-1",
                "alg": "EdDSA",
                "use": "sig",
            }
        ]
    },
    "healthz": {"status": "ok"},
    "readyz": {"database": True, "database_writes": True, "store": True, "serving": True},
}
