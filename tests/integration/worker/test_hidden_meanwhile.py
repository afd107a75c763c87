"""Events of a subject that are hidden while the run goes on: nothing edits or judges without what the version knows."""

from __future__ import annotations

from typing import Any

import pytest

from app.attempts import queries as attempt_queries
from app.db.base import utc_now
from app.db.models import ForgetRequest
from app.suppressions.service import LiftedBecause, lift
from tests.integration.takedowns import take_down
from tests.integration.tiny_model import subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.observing import live, outcome
from tests.integration.worker.test_event_erasure import items_of, select_events
from tests.integration.worker.test_levels import REFIT, ladder, make, rows
from unlearning import Rung
from worker import execution
from worker.examples import read_examples
from worker.execution import execute
from worker.process import WorkerProcess
from worker.versions import load_version

# What is committed when is the point, and not which database stores it.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def take_down_one_of(process: WorkerProcess, user: str) -> None:
    take_down(process.database, process.audit, items_of(process, user)[3])


def test_no_edit_is_made_without_an_event_that_was_taken_down_since_the_run_began(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = request_forgetting(process, "user-1")

    def meanwhile(*given: Any) -> Any:
        # The subjects are sorted, and their events are not read yet.
        take_down_one_of(process, "user-1")
        return load_version(*given)

    monkeypatch.setattr(execution, "load_version", meanwhile)
    execute(process, run_id)
    assert outcome(process, "user-1") == ("completed", "erased")
    with process.database.read() as session:
        assert [one.method for one in attempt_queries.of_run(session, run_id)] == ["refit"]
    assert load_version(process.store, live(process)).exact


def test_nobody_is_judged_by_a_level_that_was_measured_without_an_event_that_the_run_has_read(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = ladder(process, Rung("least_change", {}), REFIT)
    run_id = request_forgetting(process, "user-1")

    def meanwhile(*given: Any, **named: Any) -> Any:
        examples = read_examples(*given, **named)
        take_down_one_of(process, "user-1")
        make(process)  # Another process makes the levels, before this run looks for them.
        return examples

    monkeypatch.setattr(execution, "read_examples", meanwhile)
    execute(process, run_id)
    with process.database.read() as session:
        # The edit wants levels, and is skipped.
        (refit,) = attempt_queries.of_run(session, run_id)
    (evidence,) = refit.report["membership"]["subjects"]
    assert evidence["never_seen"] is None


def test_a_level_that_was_measured_without_events_goes_when_they_are_shown_again(
    process: WorkerProcess,
) -> None:
    request_id, _ = select_events(process, "user-1", items_of(process, "user-1")[3])
    make(process)
    assert subject_of("user-1") in rows(process)
    with process.transaction() as transaction:
        request = transaction.session.get_one(ForgetRequest, request_id)
        lift(transaction, request, LiftedBecause.CANCELLED, actor="tests", now=utc_now())
    assert subject_of("user-1") not in rows(process)
    assert subject_of("user-2") in rows(process)
