"""What a request is shown of attempts, from rows that no database has seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.attempts.schemas import RequestAttemptView
from app.db.models import Attempt, ForgetRequest
from app.links import Links

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def attempt(fence: int, number: int, **columns: Any) -> Attempt:
    return Attempt(
        **{
            "run_id": "run_1", "fence": fence, "number": number, "step": number, "requests": ["fr_1"],
            "method": "ucan", "config": {}, "policy_hash": "0" * 64, "started_at": NOON, "finished_at": NOON,
            "decision": "pass", "accepted": True, "report": {}, "verdict": {}, **columns,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "run", "serving"),
    [
        # The worker that made the first one died before it published: only the last one serves anybody.
        ("completed", "run_1", [False, False, True]),
        ("deploying", "run_1", [False, False, True]),
        ("unlearning", "run_1", [False, False, False]),
        # Another run serves the request, and made none of these.
        ("completed", "run_2", [False, False, False]),
    ],
)
def test_only_the_attempt_that_serves_the_request_counts_as_accepted(
    status: str, run: str, serving: list[bool]
) -> None:
    request = ForgetRequest(id="fr_1", run_id=run, status=status)
    tried = [attempt(1, 0), attempt(2, 0, accepted=False), attempt(2, 1)]
    assert [view.accepted for view in RequestAttemptView.all_of(tried, request, Links())] == serving


def test_an_earlier_accepted_attempt_of_another_run_does_not_count_either() -> None:
    request = ForgetRequest(id="fr_1", run_id="run_2", status="completed")
    tried = [attempt(1, 0), attempt(1, 0, run_id="run_2"), attempt(2, 1, run_id="run_2", accepted=False)]
    assert [view.accepted for view in RequestAttemptView.all_of(tried, request, Links())] == [
        False,
        True,
        False,
    ]
