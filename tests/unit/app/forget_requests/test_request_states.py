"""Every state of a forget request with every event."""

from itertools import product

import pytest

from app.db.models import RequestStatus
from app.forget_requests.states import ACCEPTED, REQUESTS, RequestEvent
from app.transitions import IllegalTransition

# What is not here may not happen.
LEGAL = {
    "taken": {"queued": "unlearning"},
    "returned": {"unlearning": "queued"},
    "published": {"unlearning": "deploying"},
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


def test_every_state_is_reached_from_the_first_and_every_one_leads_to_completed() -> None:
    def reached_from(status: RequestStatus) -> set[RequestStatus]:
        found, new = {status}, {status}
        while new:
            new = {after for (before, _), after in REQUESTS.table.items() if before in new} - found
            found |= new
        return found

    assert reached_from(ACCEPTED) == set(RequestStatus)
    assert all(RequestStatus.COMPLETED in reached_from(status) for status in RequestStatus)
