"""A forget request in plain words."""

from __future__ import annotations

from typing import Any

from cli import forgetting

REQUEST: dict[str, Any] = {
    "id": "fr_1",
    "status": "queued",
    "waits_for": "a worker to claim the run",
    "done": False,
    "outcome": None,
    "detail_code": None,
    "received_at": "2026-03-01T10:00:00+00:00",
    "due_at": "2026-03-31T10:00:00+00:00",
    "overdue": False,
    "stalled": False,
    "completed_at": None,
}
RECORD = {
    "skipped": [
        {
            "step": 1,
            "method": "least_change",
            "why": "skipped: no time",
            "skipped_at": "2026-03-01T10:00:02+00:00",
        }
    ],
    "attempts": [
        {
            "step": 2,
            "method": "refit",
            "why": "chosen: it passed every check of the gate",
            "seconds": 94.0,
            "started_at": "2026-03-01T10:00:03+00:00",
        },
        {
            "step": 0,
            "method": "ucan",
            "why": "refused: the check failed",
            "seconds": 2.14,
            "started_at": "2026-03-01T10:00:00.5+00:00",
        },
    ],
}


def test_a_request_that_waits() -> None:
    assert forgetting.describe(REQUEST) == [
        "request fr_1, received 2026-03-01 10:00 UTC, due 2026-03-31",
        "queued: waits for a worker to claim the run. No recommendation is computed for this user from now on.",
    ]


def test_a_completed_request_tells_what_was_tried_in_order() -> None:
    done = {
        "status": "completed",
        "done": True,
        "outcome": "erased",
        "completed_at": "2026-03-01T10:01:40+00:00",
    }
    assert forgetting.describe(REQUEST | RECORD | done)[1:] == [
        "completed after 100 s: what the service knew is erased",
        "  rung 0, ucan: refused: the check failed (2.1 s)",
        "  rung 1, least_change: skipped: no time",
        "  rung 2, refit: chosen: it passed every check of the gate (94.0 s)",
    ]
    nobody = REQUEST | done | {"outcome": "no_data"}
    assert forgetting.describe(nobody)[1] == "completed: nothing that exists has read this user"


def test_one_that_needs_attention_and_is_late_says_both() -> None:
    stuck = {"status": "needs_attention", "detail_code": "ladder_exhausted", "overdue": True}
    lines = forgetting.describe(REQUEST | stuck)
    assert lines[0].endswith("OVERDUE")
    assert forgetting.describe(REQUEST | stuck | {"stalled": True})[0].endswith(
        "OVERDUE, STALLED as needs_attention"
    )
    assert "needs attention (ladder_exhausted)" in lines
    assert "POST /forget-requests/fr_1/retry" in lines[-1]
