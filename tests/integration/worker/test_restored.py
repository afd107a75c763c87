"""A worker whose database is restored under it: it learns again whom it had forgotten before it trains (I10, I15)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.db.errors import DatabaseRewound
from app.db.models import Ledger, ServingPointer
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.readers.queries import past_readers_among
from app.readers.readership import Readership, read_readership
from app.restoration.service import join_timeline
from app.runs import queries as runs
from app.versions import queries as pointer
from model_store import StoreEmptied, StoreUnavailable, Timeline, open_store
from tests.integration.backup import back_up
from tests.integration.tiny_model import ITEMS, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import (
    live,
    outcome,
    rows_of,
    run_of,
    serving,
    store_again,
    waiting_run,
)
from tests.integration.worker.test_outages import before
from worker.completion import _destroy_ineligible_versions
from worker.execution import _claim, execute
from worker.levels import levels_are_made, make_levels
from worker.process import WorkerProcess, open_process
from worker.taken_items import NOTHING
from worker.versions import load_version


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


def test_what_was_destroyed_after_the_backup_is_replaced_by_what_came_after_it(
    process: WorkerProcess, installed: str
) -> None:
    """No replica could load it: without this every run waits for an acknowledgement for ever.

    The levels of the backup are dropped: the survivor may be of another fit, or of a larger catalogue.
    """
    first = load_version(process.store, installed)
    make_levels(process, first, actor="tests", on_step=lambda _: None)
    restore = back_up(process.database.engine)
    execute(process, request_forgetting(process, "user-1"))
    survivor = live(process)
    restore()
    assert live(process) == installed
    assert levels_are_made(process, first)
    restarted = open_process(process.settings)
    assert live(restarted) == survivor
    assert not levels_are_made(restarted, load_version(restarted.store, survivor))
    assert serving(restarted).erasure_floor == restarted.store.read_manifest(survivor).forget_epoch
    execute(restarted, waiting_run(restarted))
    assert outcome(restarted, "user-1")[0] == "completed"
    execute(restarted, request_forgetting(restarted, "user-2"))
    assert outcome(restarted, "user-2") == ("completed", "erased")
    restarted.database.dispose()


def test_what_was_replaced_and_not_yet_destroyed_serves_no_more_either(
    process: WorkerProcess, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store vouches for the floor by then: nobody would serve it, and its successor is there."""
    restore = back_up(process.database.engine)
    with monkeypatch.context() as patched:

        def die() -> None:
            raise StoreUnavailable("gone")

        before(patched, "worker.completion._destroy_ineligible_versions", die)
        execute(process, request_forgetting(process, "user-1"))
    survivor = live(process)
    assert not process.store.is_destroyed(installed)
    restore()
    execute(process, "ur_lost")
    assert live(process) == survivor != installed
    execute(process, waiting_run(process))
    assert outcome(process, "user-1") == ("completed", "erased")
    execute(process, request_forgetting(process, "user-2"))
    assert outcome(process, "user-2") == ("completed", "erased")
    assert process.store.is_destroyed(installed)


def test_a_run_that_was_under_way_when_the_backup_was_taken_completes_by_itself(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had published a version that is destroyed by now."""
    taken: list[Callable[[], None]] = []
    before(
        monkeypatch,
        "worker.execution.wait_for_acknowledgement",
        lambda: taken.append(back_up(process.database.engine)),
    )
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    execute(process, request_forgetting(process, "user-2"))
    survivor = live(process)
    taken[0]()
    restarted = open_process(process.settings)
    assert live(restarted) == survivor
    assert run_of(restarted, run_id).claims == 0
    let_the_lease_lapse(restarted.database, run_id)
    execute(restarted, run_id)
    execute(restarted, waiting_run(restarted))
    for user in ("user-1", "user-2"):
        assert outcome(restarted, user)[0] == "completed"
        assert rows_of(restarted, user) == 0
    restarted.database.dispose()


def test_a_restore_in_the_middle_of_a_completion_does_not_cost_the_version_that_serves(
    process: WorkerProcess,
) -> None:
    """It descends from a fit that has read them, and only that it is live saves it."""
    with process.database.unit_of_work() as session:
        session.get_one(Ledger, 1).epoch = 5
    restore = back_up(process.database.engine)
    run_id = request_forgetting(process, "user-1")
    claim = _claim(process, run_id)
    assert claim is not None
    successor = store_again(process, Readership.of([subject_of("user-1")]), forget_epoch=claim.covers_epoch)
    with process.database.unit_of_work() as session:
        session.get_one(ServingPointer, 1).digest = successor
    restore()
    with pytest.raises(DatabaseRewound):
        _destroy_ineligible_versions(process, claim, NOTHING)
    assert not process.store.is_destroyed(successor)


def test_a_store_that_is_lost_for_good_leaves_nothing_live_and_everybody_as_read(
    process: WorkerProcess, installed: str
) -> None:
    """What it held may turn up again: nobody whose events are here counts as unknown to it."""
    assert live(process) == installed
    lost = Path(process.settings.store_url)
    lost.rename(lost.with_name("lost"))
    with pytest.raises(StoreEmptied):
        open_process(process.settings)
    join_timeline(process.database, process.audit, open_store(process.settings.store_url), restored=True)
    with process.database.read() as session:
        assert pointer.current(session).digest is None
        assert past_readers_among(session, [subject_of("user-1")])


def test_a_damaged_manifest_does_not_hide_the_versions_after_it(
    process: WorkerProcess, installed: str
) -> None:
    restore = back_up(process.database.engine)
    execute(process, request_forgetting(process, "user-1"))
    survivor = live(process)
    restore()
    manifests = Path(process.settings.store_url) / "manifests"
    (manifests / f"{'0' * 64}.json").write_bytes(b"{}")
    restarted = open_process(process.settings)
    assert live(restarted) == survivor
    restarted.database.dispose()


def timeline_of(process: WorkerProcess) -> Timeline:
    timeline = process.store.newest_timeline()
    assert timeline is not None
    return timeline
