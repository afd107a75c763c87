"""Values that several examples share."""

from __future__ import annotations

from typing import Any

REQUEST = "fr_4bf8fd21bb1b44e8956b9c0e170381fb"
RUN = "ur_95c08a0a2fab45a5bd0a1b5c854e3642"
DIGEST = "20242fc5f57ee0643fa850b68562be2c6b4f577541feafb122ec339a3a47b1a3"
PARENT = "7f3b2c7de6d5a1c0b5f0f1d7a3c9e8b4a6d2c1e0f9a8b7c6d5e4f3a2b1c0d9e8"
POLICY = "c0a1d3f5b7e9c0a1d3f5b7e9c0a1d3f5b7e9c0a1d3f5b7e9c0a1d3f5b7e9c0a1"
PARTS: list[dict[str, Any]] = [
    {
        "name": "adapter",
        "state": "edited",
        "detail": "attenuated until the gate's measures passed, for whoever it had read",
    },
    {"name": "answers", "state": "exact", "detail": "cached answers are dropped at the suppression"},
]
TRIED: dict[str, Any] = {
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
MEASURE: dict[str, Any] = {
    "measure": "memory",
    "value": 0.02,
    "low": None,
    "high": 0.1,
    "passed": True,
    "detail": "",
    "binding": True,
}
VERDICT: dict[str, Any] = {
    "request": f"/forget-requests/{REQUEST}",
    "decision": "pass",
    "reasons": [MEASURE],
    "in_batch": False,
}
