"""A worker whose database is restored under it: it learns again whom it had forgotten before it trains (I10, I15)."""

from __future__ import annotations

import pytest

from app.db import interactions, runs
from app.db.errors import DatabaseRewound
from app.db.interactions import NewInteraction
from model_store import Timeline
from tests.integration.backup import back_up
from tests.integration.tiny_model import ITEMS, subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import live, outcome, rows_of, run_of
from worker.execution import execute
from worker.process import WorkerProcess
from worker.readership import read_readership


def arrive(process: WorkerProcess, user: str) -> None:
    rows = [NewInteraction(subject_of(user), f"i{step % ITEMS}", 100 + step) for step in range(6)]
    with process.database.unit_of_work() as session:
        interactions.ingest(session, rows)


def test_a_consolidation_after_a_restore_does_not_learn_whoever_had_been_forgotten(
    process: WorkerProcess,
) -> None:
    arrive(process, "late")
    restore = back_up(process.database.engine)
    execute(process, request_forgetting(process, "late"))
    assert outcome(process, "late") == ("completed", "no_data")
    restore()
    assert rows_of(process, "late") == 6
    with pytest.raises(DatabaseRewound):
        request_consolidation(process)
    # Rung for a run of the future that is gone.
    execute(process, "ur_lost")
    assert outcome(process, "late") == ("queued", None)
    execute(process, request_consolidation(process))
    readership = read_readership(process.store, live(process))
    assert readership is not None
    assert subject_of("user-1") in readership
    assert subject_of("late") not in readership
    with process.database.read() as session:
        waiting = runs.queued_run(session)
    if waiting is not None:
        execute(process, waiting)
    assert outcome(process, "late")[0] == "completed"
    assert rows_of(process, "late") == 0


def test_an_epoch_that_somebody_else_has_in_the_journal_is_given_up(process: WorkerProcess) -> None:
    restore = back_up(process.database.engine)
    # Nobody has read them: no version is published, and no floor shows that the database is older.
    execute(process, request_forgetting(process, "somebody"))
    restore()
    # As a worker that has not seen anything of it: it joins what it finds, before the journal of it is there.
    process.database.timeline.join(timeline_of(process).token, 0)
    run_id = request_forgetting(process, "nobody")
    assert execute(process, run_id) == run_id
    next_run: str | None = run_id
    while next_run is not None:
        next_run = execute(process, next_run)
    assert run_of(process, run_id).status == "completed"
    assert outcome(process, "nobody") == ("completed", "no_data")
    epochs = [entry.epoch for entry in process.store.journal()]
    assert len(epochs) == len(set(epochs))
    assert {entry.subject_hmac for entry in process.store.journal()} == {
        subject_of("somebody"),
        subject_of("nobody"),
    }


def timeline_of(process: WorkerProcess) -> Timeline:
    timeline = process.store.newest_timeline()
    assert timeline is not None
    return timeline
