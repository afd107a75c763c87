"""How things stand, in plain words."""

from __future__ import annotations

from typing import Any

from cli.service_status import describe

NOTHING: dict[str, Any] = {
    "serving": {
        "version": None, "generation": 0, "method": None, "exact": None, "covers_epoch": None, "epoch": 0,
        "erasure_floor": 0, "candidate": None,
    },
    "replicas": [],
    "silent_engines": [],
    "requests": {
        "queued": 0, "unlearning": 0, "deploying": 0, "completed": 0, "needs_attention": 0, "overdue": 0, "stalled": 0,
    },
    "runs": [],
    "runs_waiting": 0,
    "consolidation": {"last_exact_fit": None, "items": []},
}  # fmt: skip
BUSY: dict[str, Any] = {
    "serving": {
        "version": "ab" * 32, "generation": 4, "method": "ucan", "exact": False, "covers_epoch": 7, "epoch": 9,
        "erasure_floor": 7, "candidate": None,
    },
    "replicas": [
        {"id": "one", "generation": 4, "version": "ab" * 32, "epoch": 9, "error": None},
        {"id": "two", "generation": 3, "version": "cd" * 32, "epoch": 8, "error": "the digest does not match"},
    ],
    "silent_engines": ["three"],
    "requests": {
        "queued": 2, "unlearning": 1, "deploying": 1, "completed": 5, "needs_attention": 3, "overdue": 1, "stalled": 2,
    },
    "runs": [
        {
            "id": "ur_0", "kind": "consolidate", "stage": "erasing", "progress": None, "attempts": 0,
            "last_rung": None, "requests": 0, "started_at": None, "claims": 1, "detail": None,
        },
        {
            "id": "ur_1", "kind": "forget", "stage": "ladder", "progress": "refit: fit 3/10", "attempts": 2,
            "last_rung": 1, "requests": 2, "started_at": None, "claims": 1, "detail": None,
        },
    ],
    "runs_waiting": 1,
    "consolidation": {
        "last_exact_fit": "2026-03-01T10:00:00Z",
        "items": [
            {"name": "attenuations", "spent": 3, "limit": 10, "left": 7},
            {"name": "age_days", "spent": 1.25, "limit": None, "left": None},
        ],
    },
}  # fmt: skip


def test_where_nothing_is_installed() -> None:
    lines = describe(NOTHING)
    assert lines == [
        "serving     no version is live: everybody gets the fallback (lethe init makes one)",
        "replicas    none: no gateway runs (lethe up, or lethe gateway)",
        "requests    0 waiting, 0 at work, 0 need attention, 0 completed",
        "run         none works, 0 waiting",
    ]


def test_where_much_goes_on() -> None:
    assert describe(BUSY) == [
        "serving     version abababababababab, generation 4 (ucan, attenuated); covers epoch 7 of 9",
        "replica     one: serves the live version, knows epoch 9",
        "replica     two: serves cdcdcdcdcdcdcdcd, knows epoch 8; the digest does not match",
        (
            "replica     three: SILENT; its vLLM server may hold older versions, and every run waits: start the "
            "gateway again, or stop the server, empty its folder and run lethe replicas retire"
        ),
        "requests    2 waiting, 2 at work, 3 need attention, 5 completed; 1 OVERDUE; 2 STALLED",
        "run         ur_0: consolidate, erasing, attempts so far: 0",
        (
            "run         ur_1: forget (requests: 2), ladder, refit: fit 3/10, attempts so far: 2, the last at rung 1; "
            "1 waiting"
        ),
        "budget      until the next consolidation: attenuations 3 of 10, days since the exact fit 1.25",
    ]
