"""A request is completed if and only if nothing is left to be done (R-3)."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from app.db.models import ForgetRequest, ForgetTarget, RequestStatus, Run, RunStage, RunStatus
from app.forget_requests.duties import _SATISFIED, duties

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
OPEN = [status for status in RequestStatus if status not in ("cancelled", "denied")]


@pytest.mark.parametrize("status", OPEN)
def test_r3_completed_is_what_has_no_duty_left(status: RequestStatus) -> None:
    done = status is RequestStatus.COMPLETED
    stages = [RunStage.DONE] if done else list(RunStage)
    outcomes = ("erased", "no_data") if done else (None, "erased", "no_data")
    erased = [NOON] if done else [None, NOON]
    for stage, outcome, erased_at in product(stages, outcomes, erased):
        request = ForgetRequest(
            status=status, outcome=outcome, erased_at=erased_at, completed_at=NOON if done else None
        )
        run = Run(stage=stage, status=RunStatus.COMPLETED if stage is RunStage.DONE else RunStatus.RUNNING)
        # Whoever waits although the run is over waits for a recipient.
        told = ForgetTarget(mandatory=True, notified_at=NOON, acknowledged_at=NOON if done else None)
        found = duties(request, None, run, None, [told])
        left = [duty for duty in found if duty.state not in _SATISFIED]
        assert bool(left) is not done, (stage, outcome, erased_at)
        assert all(duty.at is None for duty in left)


def test_r3_what_an_earlier_release_has_completed_owes_nothing() -> None:
    request = ForgetRequest(status=RequestStatus.COMPLETED, outcome="erased", completed_at=NOON)
    assert [duty.state for duty in duties(request, None, None, None, [])] == [
        *["done"] * 5,
        "not_needed",
    ]
