"""Every state of a request has one in OpenDSR, and what can be cancelled there can be cancelled here."""

from __future__ import annotations

import pytest

from app.db.models import RequestStatus
from app.events.names import OF_REQUESTS, EventName
from app.forget_requests.states import REQUESTS, RequestEvent
from app.opendsr.service import CHANGES
from app.opendsr.states import STATES, Status


@pytest.mark.parametrize("status", RequestStatus)
def test_every_state_has_one_and_pending_is_what_can_be_cancelled(status: RequestStatus) -> None:
    can_be_cancelled = status in REQUESTS.before(RequestEvent.CANCELLED)
    assert (STATES[status] is Status.PENDING) == can_be_cancelled


def test_the_events_that_may_change_the_state_are_told_of_requests() -> None:
    about_requests = {name for names in OF_REQUESTS.values() for name in names}
    assert about_requests >= CHANGES
    assert EventName.FORGET_DEADLINE_WARNING not in CHANGES
