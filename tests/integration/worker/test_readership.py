"""Who may be known to what, and what a run then does: nobody whom something knows is reported as unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app.attempts import queries as attempts
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.models import AuditEntry, NeverSeenLevel, PastReader, RequestStatus
from app.db.session import Database
from app.forget_requests import queries as request_queries
from app.forget_requests import service as forget_requests
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.readers import service as readers
from app.readers.readership import Readership, read_by_version, read_readership
from app.settings import Settings
from tests.integration.killing import killed_at
from tests.integration.tiny_model import USERS, FirstFit, install_version, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import actions, assert_fitted_on, request_consolidation
from tests.integration.worker.observing import (
    live,
    living,
    make_live,
    outcome,
    request_of,
    rows_of,
    run_of,
    serving,
    store_again,
    waiting_run,
)
from unlearning import Rung
from worker import withdrawal
from worker.execution import execute
from worker.process import WorkerProcess, open_process
from worker.versions import load_version

# This is about what a worker decides. What depends on the database is tested on both, in files beside this one.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def foreign(settings: Settings, database: Database) -> Iterator[WorkerProcess]:
    """The operator's adapter is live: it has also read somebody of whom no events are there, and somebody with two."""
    install_version(settings, database, FirstFit({**USERS, "shopper": [3, 4]}), also_read=["dropped"])
    opened = open_process(settings)
    yield opened
    opened.database.dispose()


@pytest.mark.parametrize("user", ["dropped", "shopper"])
def test_somebody_the_adapter_has_read_is_left_out_of_a_fit_though_nothing_can_be_measured(
    foreign: WorkerProcess, user: str
) -> None:
    before = live(foreign)
    run_id = request_forgetting(foreign, user)
    execute(foreign, run_id)
    assert outcome(foreign, user) == ("completed", "erased")
    assert living(foreign) == [live(foreign)] != [before]
    assert rows_of(foreign, user) == 0
    assert_fitted_on(foreign, USERS, seed=run_of(foreign, run_id).covers_epoch or 0)
    readership = load_version(foreign.store, live(foreign)).readership
    assert readership == Readership.of(map(subject_of, USERS))
    with foreign.database.read() as session:
        (attempt,) = attempts.of_run(session, run_id)
    assert (attempt.method, attempt.accepted) == ("refit", True)
    assert attempt.requests == [request_of(foreign, user).id]


def test_whoever_shares_such_a_run_was_left_out_as_well(foreign: WorkerProcess) -> None:
    run_id = request_forgetting(foreign, "dropped", "user-1", "nobody")
    execute(foreign, run_id)
    assert outcome(foreign, "dropped") == outcome(foreign, "user-1") == ("completed", "erased")
    assert outcome(foreign, "nobody") == ("completed", "no_data")
    kept = {user: history for user, history in USERS.items() if user != "user-1"}
    assert_fitted_on(foreign, kept, seed=run_of(foreign, run_id).covers_epoch or 0)


def test_who_waits_while_the_version_goes_that_read_them_is_erased_and_not_unknown(
    foreign: WorkerProcess,
) -> None:
    """After the consolidation nothing shows any more that an adapter had read them."""
    waiting = request_forgetting(foreign, "dropped")
    execute(foreign, request_consolidation(foreign))
    consolidated = live(foreign)
    execute(foreign, waiting)
    assert outcome(foreign, "dropped") == ("completed", "erased")
    # Nothing was left to edit.
    assert live(foreign) == consolidated


def test_a_user_whom_no_fit_has_read_is_no_data_although_events_of_theirs_are_stored(
    process: WorkerProcess,
) -> None:
    with process.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction(subject_of("late"), f"i{n}", n) for n in range(5)])
    before = live(process)
    execute(process, request_forgetting(process, "late"))
    assert outcome(process, "late") == ("completed", "no_data")
    assert rows_of(process, "late") == 0
    assert live(process) == before


def test_a_candidate_that_never_served_and_has_read_somebody_is_destroyed_before_they_are_done(
    process: WorkerProcess,
) -> None:
    """A consolidation on newer events that was killed: its weights lie in the store, and know who came since."""
    parent = live(process)
    orphan = store_again(process, Readership.of([subject_of("late")]), forget_epoch=10**6)
    execute(process, request_forgetting(process, "nobody"))
    assert not process.store.is_destroyed(orphan)
    execute(process, request_forgetting(process, "late"))
    assert outcome(process, "late") == ("completed", "erased")
    assert process.store.is_destroyed(orphan)
    assert live(process) == parent


def test_a_version_without_a_record_may_have_read_anybody(process: WorkerProcess) -> None:
    digest = store_again(process, None)
    make_live(process, digest)
    assert read_readership(process.store, digest) is None
    execute(process, request_forgetting(process, "nobody-knows"))
    assert outcome(process, "nobody-knows") == ("completed", "erased")
    # The re-fit has a record; from now on it can be told.
    execute(process, request_forgetting(process, "another"))
    assert outcome(process, "another") == ("completed", "no_data")


def test_what_the_base_knows_of_somebody_needs_a_person_and_another_base(process: WorkerProcess) -> None:
    readers.record_base_readers(
        process.database,
        process.audit,
        process.base.digest,
        [subject_of("panellist"), subject_of("user-1")],
        actor="tests",
    )
    execute(process, request_forgetting(process, "panellist", "user-1", "user-2"))
    assert outcome(process, "user-2") == ("completed", "erased")
    for user in ("panellist", "user-1"):
        request = request_of(process, user)
        assert (request.status, request.outcome, request.detail_code) == (
            "needs_attention", None, readers.KNOWN_TO_BASE,
        )  # fmt: skip
    assert rows_of(process, "user-1") == 0
    # A consolidation does not change the base, and does not say that it did.
    execute(process, request_consolidation(process))
    assert outcome(process, "panellist") == ("needs_attention", None)
    # Nor does trying again.
    with process.database.unit_of_work() as session:
        forget_requests.retry(
            Transaction(session, process.audit),
            request_of(process, "panellist").id,
            actor="tests",
            now=utc_now(),
        )
    execute(process, waiting_run(process))
    assert outcome(process, "panellist") == ("needs_attention", None)


def test_a_worker_on_another_base_leaves_the_run_to_one_that_was_started_since(
    process: WorkerProcess,
) -> None:
    """An edit of its own would put the base back that somebody has just replaced."""
    before = live(process)
    run_id = request_forgetting(process, "user-1")
    stale = replace(process, base=replace(process.base, digest="0" * 64))
    execute(stale, run_id)
    run = run_of(process, run_id)
    assert (run.status, run.claims, run.detail_code) == ("running", 0, "other_base")
    assert live(process) == before
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert outcome(process, "user-1") == ("completed", "erased")


def test_who_needs_a_person_is_done_once_a_consolidation_has_left_them_out(process: WorkerProcess) -> None:
    """The ladder has nothing that could serve them; the exact fit that comes later never reads them."""
    stuck = replace(process, policy=replace(process.policy, ladder=(Rung("do_nothing", {}),)))
    execute(stuck, request_forgetting(process, "user-1"))
    assert outcome(process, "user-1")[0] == "needs_attention"
    due_at = request_of(process, "user-1").due_at
    next_run = execute(process, request_consolidation(process))
    assert next_run is not None
    consolidated = live(process)
    execute(process, next_run)
    assert outcome(process, "user-1") == ("completed", "erased")
    assert rows_of(process, "user-1") == 0
    assert live(process) == consolidated
    assert request_of(process, "user-1").due_at == due_at
    assert actions(process).count("forget.left_out") == 1


@pytest.mark.parametrize("left", [0, 1])
def test_the_last_users_are_forgotten_by_withdrawing_the_version(process: WorkerProcess, left: int) -> None:
    before = serving(process)
    asking = list(USERS)[left:]
    run_id = request_forgetting(process, *asking)
    assert execute(process, run_id) is None
    for user in asking:
        assert outcome(process, user) == ("completed", "erased")
        assert rows_of(process, user) == 0
    after = serving(process)
    assert (after.digest, after.candidate_digest) == (None, None)
    assert after.generation == before.generation + 1
    assert after.erasure_floor == run_of(process, run_id).covers_epoch
    assert living(process) == []
    assert process.store.delete_orphans() == ()
    assert actions(process).count("version.withdrawn") == 1
    with process.database.read() as session:
        assert session.scalars(select(NeverSeenLevel)).all() == []
        assert process.audit.first_broken(session) is None


def test_everybody_one_after_the_other(process: WorkerProcess) -> None:
    """Whatever method, gate or fit needs more people than are left, nobody of them needs a person."""
    for user in USERS:
        next_run: str | None = request_forgetting(process, user)
        while next_run is not None:
            next_run = execute(process, next_run)
        # Also the last one, after whom nothing is left that could have read anybody.
        assert outcome(process, user) == ("completed", "erased"), user
    with process.database.read() as session:
        assert session.scalars(select(PastReader)).all() == []
    assert serving(process).digest is None
    assert living(process) == []


def test_who_asks_while_the_last_version_is_withdrawn_is_erased_too(process: WorkerProcess) -> None:
    first, last = list(USERS)[:-1], list(USERS)[-1]
    small = replace(
        process, settings=process.settings.model_copy(update={"max_subjects_per_run": len(first)})
    )
    run_id = request_forgetting(small, *first, last)
    next_run = execute(small, run_id)
    assert serving(process).digest is None
    assert next_run is not None
    execute(small, next_run)
    assert outcome(process, last) == ("completed", "erased")


def test_a_consolidation_with_nobody_left_to_fit_on_withdraws(process: WorkerProcess) -> None:
    run_of_requests = request_forgetting(process, *list(USERS)[1:])
    run_id = request_consolidation(process)
    # Its patience is over: it goes before the forget run.
    execute(process, run_id)
    assert run_of(process, run_id).status == "completed"
    assert serving(process).digest is None
    execute(process, run_of_requests)
    assert {outcome(process, user) for user in list(USERS)[1:]} == {("completed", "erased")}


@pytest.mark.parametrize("step", ["worker.execution.wait_for_acknowledgement", "worker.execution.complete"])
def test_a_worker_that_dies_during_a_withdrawal_is_replaced(process: WorkerProcess, step: str) -> None:
    run_id = request_forgetting(process, *USERS)
    with killed_at(step):
        execute(process, run_id)
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    with process.database.read() as session:
        requests = request_queries.of_run(session, run_id)
        assert {(row.status, row.outcome) for row in requests} == {(RequestStatus.COMPLETED, "erased")}
        kinds = list(session.scalars(select(AuditEntry.action)))
    assert kinds.count("version.withdrawn") == kinds.count("forget.completed") == 1
    assert living(process) == []


def test_a_zombie_withdraws_nothing(process: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = request_forgetting(process, *USERS)
    real = withdrawal.pointer.withdraw
    overtaken: list[bool] = []

    def stalled(*arguments: object, **named: object) -> int:
        if not overtaken:
            overtaken.append(True)
            arguments[0].session.rollback()  # type: ignore[attr-defined]  # let the other one write
            let_the_lease_lapse(process.database, run_id)
            execute(process, run_id)
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(withdrawal.pointer, "withdraw", stalled)
    try:
        execute(process, run_id)
    finally:
        assert actions(process).count("version.withdrawn") == 1


def test_what_came_into_the_store_after_it_was_decided_what_goes_is_the_next_runs(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be live by the time at which a worker that has lost its run comes to it."""
    real, came = read_by_version, []

    def meanwhile(*arguments: Any, **named: Any) -> dict[str, frozenset[str]]:
        came.append(
            store_again(process, load_version(process.store, live(process)).readership, forget_epoch=99)
        )
        return real(*arguments, **named)

    monkeypatch.setattr("worker.completion.read_by_version", meanwhile)
    execute(process, request_forgetting(process, "user-1"))
    assert outcome(process, "user-1")[0] == "completed"
    assert sorted(living(process)) == sorted([live(process), *came])
