"""Every state of a run with every event, and which stages cannot be begun again."""

from itertools import product

import pytest

from app.db.models import Run, RunStage, RunStatus
from app.runs.states import CREATED, RUNS, RunEvent, is_past_return
from app.transitions import IllegalTransition

# What is not here may not happen.
LEGAL = {
    "claimed": {"queued": "running", "running": "running"},
    "completed": {"running": "completed"},
    "given_up": {"queued": "needs_attention", "running": "needs_attention"},
}


@pytest.mark.parametrize(("status", "event"), list(product(RunStatus, RunEvent)))
def test_an_event_has_its_one_outcome_or_an_error_with_a_name(status: RunStatus, event: RunEvent) -> None:
    expected = LEGAL[event].get(status)
    if expected is not None:
        assert RUNS.after(status, event) == expected
        return
    with pytest.raises(IllegalTransition, match=f"{event} cannot happen to what is {status}"):
        RUNS.after(status, event)


@pytest.mark.parametrize("event", RunEvent)
def test_a_query_selects_the_states_in_which_the_event_may_happen(event: RunEvent) -> None:
    assert set(RUNS.before(event)) == set(LEGAL[event])


def test_a_run_begins_queued_and_what_is_over_stays_over() -> None:
    assert CREATED == RunStatus.QUEUED
    assert not {before for before, _ in RUNS.table} & {RunStatus.COMPLETED, RunStatus.NEEDS_ATTENTION}


@pytest.mark.parametrize("stage", RunStage)
def test_a_run_that_has_published_can_only_be_finished(stage: RunStage) -> None:
    assert is_past_return(Run(stage=stage)) == (stage in ("published", "erasing"))
