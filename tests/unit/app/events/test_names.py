"""Which entries of the log are told, and that each has what the telling needs."""

from __future__ import annotations

from dataclasses import fields

from app.audit.decision_events import ForgetDeadlineNears
from app.events.names import (
    OF_GIVEN_UP_RUNS,
    OF_REQUESTS,
    OF_TAKEDOWNS,
    OF_VERSIONS,
    EventName,
    about_requests,
)


def test_each_entry_has_the_field_that_says_what_the_event_is_about() -> None:
    for kind in OF_REQUESTS:
        assert {"request", "requests"} & {field.name for field in fields(kind)}, kind
    for table, name in ((OF_VERSIONS, "version"), (OF_GIVEN_UP_RUNS, "run"), (OF_TAKEDOWNS, "takedown")):
        for kind in table:
            assert name in {field.name for field in fields(kind)}, kind


def test_every_name_is_of_some_entry() -> None:
    named = {
        name
        for table in (OF_REQUESTS, OF_VERSIONS, OF_GIVEN_UP_RUNS, OF_TAKEDOWNS)
        for names in table.values()
        for name in names
    }
    assert set(EventName) - named == {
        EventName.SERVICE_RESTORED,
        EventName.FORGET_DEADLINE_BREACHED,
        EventName.SELECTION_ACTIVE,
    }


def test_a_deadline_that_nears_is_a_warning_until_it_has_passed() -> None:
    told = [about_requests(ForgetDeadlineNears("fr_1", percent, "")) for percent in (50, 90, 100)]
    assert told == [("forget.deadline.warning",), ("forget.deadline.warning",), ("forget.deadline.breached",)]
