"""Every state of a forget request with every event."""

from itertools import product

import pytest

from app.db.models import RequestStatus
from app.forget_requests.states import CREATED, REQUESTS, RequestEvent
from app.transitions import IllegalTransition

_STOPPABLE = ("pending_verification", "pending_approval", "scheduled", "queued", "on_hold")
# What is not here may not happen.
LEGAL = {
    "verified": {"pending_verification": "pending_approval"},
    "unverified": {"pending_verification": "cancelled"},
    "superseded": {"pending_verification": "cancelled"},
    "approved": {"pending_approval": "scheduled"},
    "window_ended": {"scheduled": "queued"},
    "cancelled": dict.fromkeys(_STOPPABLE, "cancelled"),
    "denied": dict.fromkeys(_STOPPABLE, "denied"),
    "held": dict.fromkeys(("pending_approval", "scheduled", "queued"), "on_hold"),
    "released_to_approval": {"on_hold": "pending_approval"},
    "released": {"on_hold": "scheduled"},
    "readmitted": {"completed": "completed"},
    "taken": {"queued": "unlearning"},
    "returned": {"unlearning": "queued"},
    "published": {"unlearning": "deploying"},
    "recipients_awaited": {"unlearning": "deploying", "deploying": "deploying"},
    "completed": {"unlearning": "completed", "deploying": "completed"},
    "read_by_base": {"unlearning": "needs_attention", "deploying": "needs_attention"},
    "exhausted": {"unlearning": "needs_attention"},
    "given_up": {"unlearning": "needs_attention", "deploying": "needs_attention"},
    "queued_again": {"needs_attention": "queued"},
    "reopened": {"completed": "needs_attention"},
}


@pytest.mark.parametrize(("status", "event"), list(product(RequestStatus, RequestEvent)))
def test_an_event_has_its_one_outcome_or_an_error_with_a_name(
    status: RequestStatus, event: RequestEvent
) -> None:
    expected = LEGAL[event].get(status)
    if expected is not None:
        assert REQUESTS.after(status, event) == expected
        return
    with pytest.raises(IllegalTransition, match=f"{event} cannot happen to what is {status}") as raised:
        REQUESTS.after(status, event)
    assert (raised.value.state, raised.value.event) == (status, event)


@pytest.mark.parametrize("event", RequestEvent)
def test_a_query_selects_the_states_in_which_the_event_may_happen(event: RequestEvent) -> None:
    assert set(REQUESTS.before(event)) == set(LEGAL[event])


def test_every_state_is_reached_from_the_first_and_none_is_a_dead_end_but_a_withdrawal() -> None:
    def reached_from(status: RequestStatus) -> set[RequestStatus]:
        found, new = {status}, {status}
        while new:
            new = {after for (before, _), after in REQUESTS.table.items() if before in new} - found
            found |= new
        return found

    assert reached_from(CREATED) == set(RequestStatus)
    withdrawn = {RequestStatus.CANCELLED, RequestStatus.DENIED}
    assert all(reached_from(status) == {status} for status in withdrawn)
    assert all(RequestStatus.COMPLETED in reached_from(status) for status in set(RequestStatus) - withdrawn)


def test_what_a_run_has_taken_cannot_be_stopped() -> None:
    taken = {RequestStatus.UNLEARNING, RequestStatus.DEPLOYING, RequestStatus.COMPLETED}
    for event in (RequestEvent.CANCELLED, RequestEvent.DENIED, RequestEvent.HELD):
        assert not taken & set(REQUESTS.before(event))
