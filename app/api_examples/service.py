"""Examples of recommendations, runs, versions and health."""

from __future__ import annotations

from typing import Any

from app.api_examples.values import DIGEST, MEASURE, PARENT, PARTS, POLICY, REQUEST, RUN, TRIED, VERDICT

_FINISHED: dict[str, Any] = {
    "id": RUN,
    "kind": "forget",
    "reason": None,
    "status": "completed",
    "stage": "done",
    "progress": None,
    "created_at": "2026-11-21T02:40:11.412000Z",
    "started_at": "2026-11-21T02:40:12Z",
    "finished_at": "2026-11-21T02:40:58Z",
    "claims": 1,
    "parent": PARENT,
    "version": DIGEST,
    "covers_epoch": 8813,
    "policy_hash": POLICY,
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
    "digest": DIGEST,
    "parent": PARENT,
    "forget_epoch": 8813,
    "method": "ucan",
    "exact": False,
    "subjects": 1,
    "utility_change": -0.001,
    "run": f"/runs/{RUN}",
    "published_at": "2026-11-21T02:40:50Z",
    "destroyed_at": None,
    "live": True,
    "eligible": True,
    "parts": PARTS,
}
_REPLICA: dict[str, Any] = {
    "id": "gateway-1-eb82af3c",
    "last_seen_at": "2026-11-21T02:41:00Z",
    "generation": 12,
    "version": DIGEST,
    "ready": None,
    "epoch": 8813,
    "resident_versions": [DIGEST],
    "error": None,
}

_RECOMMENDATION: dict[str, Any] = {
    "items": [{"item_id": "1193", "title": "One Flew Over the Cuckoo's Nest (1975)", "score": -2.25}],
    "personalised": True,
    "fallback_reason": None,
    "version": DIGEST,
    "generation": 12,
    "retriever": None,
}

BODIES: dict[str, Any] = {
    "recommend_many": {
        "users": [
            {"user_id": "user-7", "k": 1},
            {
                "user_id": "auth0|5f7c",
                "k": 1,
                "history": [{"item_id": "1193", "timestamp": 1790000000, "rating": 5}, {"item_id": "661"}],
                "candidates": ["914", "3408"],
            },
        ]
    }
}

ANSWERS: dict[str, Any] = {
    "consolidate": _CONSOLIDATION,
    "roll_back_version": {"live": PARENT, "left": DIGEST, "generation": 13},
    "recommend": _RECOMMENDATION,
    "recommend_many": {
        "results": [
            {"recommendation": _RECOMMENDATION, "problem": None},
            {
                "recommendation": None,
                "problem": {
                    "code": "overloaded",
                    "detail": "Too many requests wait for the model; try again shortly.",
                    "retry_after_seconds": 2,
                },
            },
        ]
    },
    "ingest": {
        "stored": 998,
        "duplicates": 1,
        "dropped_suppressed": 1,
        "dropped_taken_down": 0,
        "dropped_unknown_item": 0,
    },
    "list_runs": {"runs": [_FINISHED]},
    "read_run": _FINISHED
    | {
        "requests": [f"/forget-requests/{REQUEST}"],
        "attempts": [
            TRIED
            | {
                "fence": 8813,
                "requests": [f"/forget-requests/{REQUEST}"],
                "verdict": {
                    "error": None,
                    "decision": "pass",
                    "run_decision": "pass",
                    "policy_hash": POLICY,
                    "reasons": [MEASURE],
                    "subjects": [VERDICT],
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
                "run": f"/runs/{RUN}",
            }
        ],
    },
    "list_adapters": {
        "generation": 12,
        "live": DIGEST,
        "previous": PARENT,
        "candidate": None,
        "erasure_floor": 8813,
        "consolidation": {
            "last_exact_fit": "2026-11-01T03:00:00Z",
            "items": [{"name": "attenuated_subjects", "spent": 4.0, "limit": 20.0, "left": 16.0}],
        },
        "versions": [_VERSION],
        "replicas": [_REPLICA],
    },
    "healthz": {"status": "ok"},
    "readyz": {"database": True, "database_writes": True, "store": True, "serving": True},
}
