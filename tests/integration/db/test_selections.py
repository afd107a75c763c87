"""Some of a person's events are forgotten, and the person stays (I2, I10), on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.audit.transaction import Transaction
from app.audit.verification import verify
from app.db.errors import BelowErasureFloor
from app.db.models import ForgetRequest, Interaction, RunKind, Version
from app.forget_requests import decisions
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision
from app.forget_requests.policy import WITHOUT_STEPS, RequestPolicy
from app.forget_requests.service import Acceptance
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.restoration.service import join_timeline
from app.runs import queries as runs
from app.selections.criteria import Criteria, item_digests
from app.suppressions import queries as suppressions
from app.versions import service as versions
from model_store import JournalEntry, MemoryStore
from tests.integration.backup import back_up
from tests.integration.db.conftest import NOON, Service

A = "a" * 64
UNTIL = int(NOON.timestamp())


def about(*items: str, before: int | None = None) -> Criteria:
    return Criteria(item_digests(A, items) if items else None, None, before, UNTIL)


def store_events(service: Service, *items: str, subject: str = A, time: int = UNTIL - 60) -> int:
    with service.database.unit_of_work() as session:
        return interactions.ingest(session, [NewInteraction(subject, item, time) for item in items]).stored


def select_events(service: Service, criteria: Criteria, policy: RequestPolicy = WITHOUT_STEPS) -> Acceptance:
    with service.database.unit_of_work() as session:
        return forget_requests.accept_selection(
            Transaction(session, service.audit),
            criteria=criteria,
            subject_hmac=A,
            requested_by="tests",
            now=NOON,
            policy=policy,
        )


def shown(service: Service) -> set[str]:
    with service.database.read() as session:
        return set(interaction_queries.newest_items(session, A, limit=99))


def stored(service: Service) -> int:
    with service.database.read() as session:
        return session.query(Interaction).filter(Interaction.subject_hmac == A).count()


def finish(service: Service) -> None:
    with service.database.read() as session:
        run_id = runs.queued_run(session, RunKind.SELECTION)
    claim = service.claimed(run_id)
    assert claim.kind is RunKind.SELECTION
    service.publish(claim, "1")
    service.finish(claim)


def test_selected_events_are_hidden_at_once_from_everything_that_reads_events(service: Service) -> None:
    store_events(service, "x", "y", "z")
    accepted = select_events(service, about("x", "unknown"))
    assert (accepted.request.scope, accepted.request.selected_events) == ("interactions", 1)
    assert shown(service) == {"y", "z"}
    with service.database.read() as session:
        assert interaction_queries.histories(session, up_to=10**9)[A] == ["y", "z"]
        assert set(interaction_queries.popularity(session, limit=9)) == {"y", "z"}
        assert [items for _, items in interaction_queries.histories_without(session, (), up_to=10**9)] == [
            ["y", "z"]
        ]
        assert suppressions.suppressed_subjects(session) == set()
        assert runs.queued_run(session) is None
        assert runs.queued_run(session, RunKind.SELECTION) == accepted.run_id


def test_they_are_deleted_in_the_end_and_an_import_does_not_bring_them_back(service: Service) -> None:
    store_events(service, "x", "y")
    request_id = select_events(service, about("x")).request.id
    assert store_events(service, "x") == 0
    finish(service)
    assert (stored(service), shown(service)) == (1, {"y"})
    assert store_events(service, "x", time=UNTIL - 30) == 0
    # What the person does after the request is a new event.
    assert store_events(service, "x", time=UNTIL + 1) == 1
    assert shown(service) == {"x", "y"}
    with service.database.read() as session:
        request = session.get_one(ForgetRequest, request_id)
        assert (request.status, request.outcome) == ("completed", "erased")


def test_the_same_selection_is_one_request_and_another_one_is_another(service: Service) -> None:
    store_events(service, "x", "y")
    first = select_events(service, about("x"))
    assert select_events(service, about("x")).request.id == first.request.id
    other = select_events(service, about("y"))
    assert (other.created, other.run_id) == (True, first.run_id)
    claimed = service.claimed(first.run_id)
    assert len(claimed.requests) == 2


def test_a_person_who_is_forgotten_wholly_needs_no_selection(service: Service) -> None:
    store_events(service, "x")
    whole = service.accept("a").request
    assert select_events(service, about("x")).request.id == whole.id


def test_a_run_for_whole_people_takes_no_selection_and_the_other_way_round(service: Service) -> None:
    store_events(service, "x", "y")
    selection = select_events(service, about("x"))
    whole = service.accept("a", now=NOON + timedelta(seconds=1))
    assert whole.created
    assert whole.run_id != selection.run_id
    claim = service.claimed(selection.run_id)
    assert [request.id for request in claim.requests] == [selection.request.id]


def test_a_cancelled_selection_shows_its_events_again_but_none_that_another_one_hides(
    service: Service,
) -> None:
    store_events(service, "x", "y")
    first = select_events(service, about("x"), RequestPolicy(cancel_window_hours=1)).request
    select_events(service, about("x", "y", before=UNTIL), RequestPolicy(cancel_window_hours=1))
    assert shown(service) == set()
    with service.database.unit_of_work() as session:
        request = session.get_one(ForgetRequest, first.id)
        decisions.cancel(Transaction(session, service.audit), request, Decision("tests", NOON, "other"))
    assert shown(service) == set()


def test_cancelling_the_only_selection_shows_its_events_and_lets_them_in(service: Service) -> None:
    store_events(service, "x", "y")
    request_id = select_events(service, about("x")).request.id
    with service.database.unit_of_work() as session:
        request = session.get_one(ForgetRequest, request_id)
        decisions.cancel(Transaction(session, service.audit), request, Decision("tests", NOON, "other"))
    assert shown(service) == {"x", "y"}
    assert store_events(service, "x", time=UNTIL - 30) == 1


def test_the_log_verifies_and_says_when_a_selection_is_gone(service: Service) -> None:
    store = MemoryStore()
    join_timeline(service.database, service.audit, store)
    store_events(service, "x", "y")
    accepted = select_events(service, about("x"))
    store.append_journal(forget_requests.journal_entry(accepted.request, accepted.selected))
    assert verify(service.database, service.audit, store).problems == ()
    with service.database.unit_of_work() as session:
        session.delete(session.merge(accepted.selected))
    problems = verify(service.database, service.audit, store).problems
    assert any("the events that it selected are not on record" in problem for problem in problems)


@pytest.mark.parametrize("withdrawn", [False, True], ids=["open", "cancelled"])
def test_a_restored_database_hides_the_events_again_unless_the_request_was_withdrawn(
    service: Service, withdrawn: bool
) -> None:
    store = MemoryStore()
    join_timeline(service.database, service.audit, store)
    store_events(service, "x", "y")
    restore = back_up(service.database.engine)
    accepted = select_events(service, about("x"))
    entries: list[JournalEntry] = [forget_requests.journal_entry(accepted.request, accepted.selected)]
    if withdrawn:
        with service.database.unit_of_work() as session:
            request = session.get_one(ForgetRequest, accepted.request.id)
            decisions.cancel(Transaction(session, service.audit), request, Decision("tests", NOON, "other"))
            entries += suppressions.lifts(session)
    for entry in entries:
        store.append_journal(entry)
        assert JournalEntry.from_bytes(entry.to_bytes()) == entry
    restore()
    join_timeline(service.database, service.audit, store)
    assert shown(service) == ({"x", "y"} if withdrawn else {"y"})
    with service.database.read() as session:
        again = session.get(ForgetRequest, accepted.request.id)
    assert (again is None) is withdrawn
    assert join_timeline(service.database, service.audit, store) == 0


def test_a_selection_erases_also_what_another_open_one_hides(service: Service) -> None:
    store_events(service, "x", "y")
    held = select_events(service, about("x", "y"), RequestPolicy(approval=True)).request
    select_events(service, about("x"))
    finish(service)
    assert stored(service) == 1
    with service.database.unit_of_work() as session:
        request = session.get_one(ForgetRequest, held.id)
        decisions.cancel(Transaction(session, service.audit), request, Decision("tests", NOON, "other"))
    assert shown(service) == {"y"}


def test_a_repeat_reaches_what_the_person_has_done_since(service: Service) -> None:
    store_events(service, "x")
    first = select_events(service, about("x"), RequestPolicy(approval=True))
    store_events(service, "x", time=UNTIL + 3600)
    again = select_events(service, replace(about("x"), until=UNTIL + 7200))
    assert again.request.id != first.request.id
    assert shown(service) == set()


def test_an_event_from_a_clock_that_goes_ahead_is_selected(service: Service) -> None:
    store_events(service, "x", time=UNTIL + 3600)
    select_events(service, about("x"))
    assert shown(service) == set()
    finish(service)
    assert stored(service) == 0


def test_a_later_first_version_may_have_read_whoever_stays(service: Service) -> None:
    store_events(service, "x", "y")
    select_events(service, about("x"))
    finish(service)
    with service.database.unit_of_work() as session:
        transaction = Transaction(session, service.audit)
        version = Version(
            digest="9" * 64,
            forget_epoch=transaction.ledger.epoch,
            method="fit",
            exact=True,
            published_at=NOON,
        )
        versions.install(
            transaction,
            version,
            parent="1" * 64,
            readers={A},
            base_digest="c" * 64,
            actor="lethe init",
            now=NOON,
        )


def test_a_version_that_may_have_read_what_was_selected_is_refused(service: Service) -> None:
    store_events(service, "x", "y")
    request = select_events(service, about("x")).request
    finish(service)
    with service.database.unit_of_work() as session, pytest.raises(BelowErasureFloor):
        versions.install(
            Transaction(session, service.audit),
            Version(
                digest="9" * 64,
                forget_epoch=request.epoch - 1,
                method="fit",
                exact=True,
                published_at=NOON,
            ),
            parent="1" * 64,
            readers={A},
            base_digest="c" * 64,
            actor="lethe init",
            now=NOON,
        )
