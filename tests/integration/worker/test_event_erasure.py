"""Runs that forget some of a person's events: the version that read them is replaced, and the person stays."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from app.attempts import queries as attempt_queries
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.models import ForgetRequest, RunKind
from app.forget_requests import decisions
from app.forget_requests import queries as request_queries
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision
from app.forget_requests.policy import RequestPolicy
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.readers.readership import read_readership
from app.selections.criteria import Criteria, item_digests
from app.subjects import SubjectKey
from recommender import TrainingConfig
from tests.integration.killing import killed_at
from tests.integration.tiny_model import SECRET, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import live, rows_of, waiting_run
from tests.integration.worker.split_world import SHRINK, measured
from tests.listening import Heard
from unlearning.methods.method import Candidate, Cost
from worker import sweeper
from worker.attempts import Chosen
from worker.examples import read_examples
from worker.execution import execute
from worker.first_fit import importing
from worker.first_fit.errors import FirstFitError
from worker.first_fit.version import Adopt, install_first_version
from worker.process import WorkerProcess
from worker.publication import readership_of
from worker.versions import load_version, read_fit_record


def select_events(process: WorkerProcess, user: str, *items: str) -> tuple[str, str]:
    """The request and the run that will serve it."""
    subject, now = subject_of(user), utc_now()
    with process.database.unit_of_work() as session:
        accepted = forget_requests.accept_selection(
            Transaction(session, process.audit),
            criteria=Criteria(item_digests(subject, items), None, None, int(now.timestamp())),
            subject_hmac=subject,
            requested_by="tests",
            now=now,
        )
    assert accepted.run_id is not None
    return accepted.request.id, accepted.run_id


def items_of(process: WorkerProcess, user: str) -> list[str]:
    with process.database.read() as session:
        return interaction_queries.newest_items(session, subject_of(user), limit=99)


def outcome(process: WorkerProcess, request_id: str) -> tuple[str, str | None]:
    with process.database.read() as session:
        request = request_queries.find(session, request_id)
    assert request is not None
    return request.status, request.outcome


def test_the_version_is_fitted_again_without_the_events_and_the_person_stays(
    process: WorkerProcess, installed: str
) -> None:
    before = items_of(process, "user-1")
    request_id, run_id = select_events(process, "user-1", before[0], before[3])
    assert execute(process, run_id) is None
    assert outcome(process, request_id) == ("completed", "erased")
    assert items_of(process, "user-1") == [item for item in before if item not in (before[0], before[3])]
    assert rows_of(process, "user-1") == len(before) - 2
    version = live(process)
    assert version != installed
    assert process.store.is_destroyed(installed)
    readers = read_readership(process.store, version)
    assert readers is not None
    assert subject_of("user-1") in readers
    # The person's own request for everything finds them in the version.
    assert execute(process, request_forgetting(process, "user-1")) is None
    assert rows_of(process, "user-1") == 0


def test_events_that_no_version_has_read_are_deleted_without_a_fit(
    process: WorkerProcess, installed: str
) -> None:
    with process.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction(subject_of("user-1"), "i23", 5_000)])
    request_id, run_id = select_events(process, "user-1", "i23")
    assert execute(process, run_id) is None
    assert outcome(process, request_id) == ("completed", "no_data")
    assert live(process) == installed
    assert "i23" not in items_of(process, "user-1")


@pytest.mark.parametrize("step", ["wait_for_acknowledgement", "complete"])
def test_a_run_that_is_killed_is_taken_up_and_ends_once(
    process: WorkerProcess, installed: str, step: str
) -> None:
    request_id, run_id = select_events(process, "user-1", items_of(process, "user-1")[0])
    with killed_at(f"worker.event_erasure.{step}", after=True):
        execute(process, run_id)
    published = live(process)
    assert published != installed
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert outcome(process, request_id) == ("completed", "erased")
    assert live(process) == published


def test_a_person_with_hidden_events_who_asks_for_everything_needs_a_fit_without_them(
    process: WorkerProcess, installed: str
) -> None:
    """The ladder would not see the hidden events, and the live version has read them."""
    request_id, _ = select_events(process, "user-1", items_of(process, "user-1")[0])
    with process.transaction() as transaction:
        # Held, so that the run for the whole person goes first.
        held = request_queries.find(transaction.session, request_id)
        assert held is not None
        decision = Decision("tests", utc_now(), "other")
        decisions.hold(transaction, held, decision, review_at=utc_now() + timedelta(days=1))
    for run_id in (waiting_run(process, RunKind.SELECTION), request_forgetting(process, "user-1")):
        execute(process, run_id)
    with process.database.read() as session:
        run = request_queries.of_run(session, run_id)[0].run_id
        (attempt,) = attempt_queries.of_run(session, str(run))
    assert attempt.method == "refit"
    assert rows_of(process, "user-1") == 0


def test_nothing_trains_on_a_hidden_event(process: WorkerProcess, installed: str) -> None:
    fit = read_fit_record(process.store, live(process))
    item = items_of(process, "user-1")[2]
    select_events(process, "user-1", item)
    examples = read_examples(process, fit, subjects=(), covers_epoch=0, newest=True)
    index = process.base.catalogue.index(item)
    split = examples.data.everyone[subject_of("user-1")]
    assert index not in split.train


def test_a_lift_that_no_gateway_could_write_is_written_by_a_worker(process: WorkerProcess) -> None:
    request_id, _ = select_events(process, "user-1", items_of(process, "user-1")[0])
    with process.transaction() as transaction:
        found = request_queries.find(transaction.session, request_id)
        assert found is not None
        decisions.cancel(transaction, found, Decision("tests", utc_now(), "other"))
    assert sweeper.write_lifts(process.database, process.settings) == 1
    assert sweeper.write_lifts(process.database, process.settings) == 0
    assert [entry.lifted for entry in process.store.journal() if entry.lifted] == ["cancelled"]


def stop(process: WorkerProcess, request_id: str) -> None:
    with process.transaction() as transaction:
        decision = Decision("tests", utc_now(), "other")
        held = transaction.session.get_one(ForgetRequest, request_id)
        decisions.hold(transaction, held, decision, review_at=utc_now() + timedelta(days=1))


def cancel(process: WorkerProcess, request_id: str) -> None:
    with process.transaction() as transaction:
        found = transaction.session.get_one(ForgetRequest, request_id)
        decisions.cancel(transaction, found, Decision("tests", utc_now(), "other"))


def test_what_another_open_selection_hides_is_forgotten_too(process: WorkerProcess, installed: str) -> None:
    own = items_of(process, "user-1")
    held, _ = select_events(process, "user-1", own[0], own[3])
    stop(process, held)
    request_id, run_id = select_events(process, "user-1", own[0])
    execute(process, run_id)
    assert outcome(process, request_id) == ("completed", "erased")
    assert live(process) != installed
    assert rows_of(process, "user-1") == len(own) - 1


def test_an_edit_has_read_whom_it_trained_on_though_the_fit_had_left_them_out(
    process: WorkerProcess, installed: str
) -> None:
    """They had asked, the fit left them out, and they withdrew their request (I13)."""
    with process.transaction() as transaction:
        request_id = forget_requests.accept(
            transaction,
            subject_hmac=subject_of("user-1"),
            requested_by="tests",
            now=utc_now(),
            policy=RequestPolicy(approval=True),
        ).request.id
    execute(process, request_consolidation(process))
    fitted = read_readership(process.store, live(process))
    assert fitted is not None
    assert subject_of("user-1") not in fitted
    cancel(process, request_id)
    parent = load_version(process.store, live(process))
    examples = read_examples(
        process, parent.fit, subjects=[subject_of("user-2")], covers_epoch=0, newest=False
    )
    edit = Chosen(
        Candidate(parent.adapter, Cost(seconds=0.0, forwards=0, backwards=0, samples=0)),
        "uniform_shrink",
        {},
        measured(process, SHRINK, ["user-2"]),
        examples.data,
    )
    readers = readership_of(parent, edit)
    assert readers is not None
    assert subject_of("user-1") in readers
    assert set(fitted) <= set(readers)


def test_events_that_the_fit_has_not_read_do_not_dilute_what_is_measured(
    process: WorkerProcess, installed: str
) -> None:
    own = items_of(process, "user-1")
    request_id, run_id = select_events(process, "user-1", *own[:5])
    stop(process, request_id)
    execute(process, run_id)
    execute(process, request_consolidation(process))
    cancel(process, request_id)
    whole = request_forgetting(process, "user-1")
    execute(process, whole)
    with process.database.read() as session:
        assert [one.method for one in attempt_queries.of_run(session, whole)] == ["refit"]


def test_an_adapter_that_was_trained_on_a_selected_event_is_partly_stored(
    process: WorkerProcess, tmp_path: Path
) -> None:
    held, _ = select_events(process, "newcomer", "i3")
    stop(process, held)
    rows = "".join(f"{user},i{item},{1000 + item}\n" for user in ("newcomer", "other") for item in range(8))
    (tmp_path / "interactions.csv").write_text(f"user_id,item_id,timestamp\n{rows}")
    key = SubjectKey(SECRET.encode())
    data = importing.read(tmp_path, 0)
    imported = importing.store(process.database, key, data, process.base, Heard())
    assert imported.skipped == imported.selected == {subject_of("newcomer")}


@pytest.mark.parametrize(
    ("selected", "vouched", "words"),
    [(True, True, "have had forgotten"), (False, False, "wanted forgotten is not in the data")],
    ids=["in the data", "not in the data"],
)
def test_an_adapter_that_may_have_read_what_was_forgotten_is_not_adopted(
    process: WorkerProcess, tmp_path: Path, selected: bool, vouched: bool, words: str
) -> None:
    _, run_id = select_events(process, "user-1", items_of(process, "user-1")[0])
    execute(process, run_id)
    whose = frozenset({subject_of("user-1")})
    source = Adopt(
        tmp_path,
        TrainingConfig(epochs=1),
        confirmed=True,
        trial_fit=False,
        without_forgotten=vouched,
    )
    # The data were stored after the selection.
    imported = importing.Imported(whose, selected=whose if selected else frozenset(), epoch=1)
    with pytest.raises(FirstFitError, match=words):
        install_first_version(
            process.database, process.settings, process.base, imported, source, process.policy, Heard()
        )
