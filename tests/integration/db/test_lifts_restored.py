"""A restored database learns which suppressions were lifted, and lifts no other (I10, I15)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.audit.verification import verify
from app.db.models import ForgetRequest
from app.db.session import Database
from app.forget_requests import decisions
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision
from app.forget_requests.policy import RequestPolicy
from app.restoration.service import join_timeline
from app.suppressions import queries as suppressions
from model_store import MemoryStore
from tests.integration.backup import back_up
from tests.integration.db.conftest import NOON, Service, Start
from tests.integration.db.test_selections import about, select_events


def accept(service: Service, store: MemoryStore, subject: str, *, journal: bool = True) -> str:
    request = service.accept(subject).request
    if journal:
        store.append_journal(forget_requests.journal_entry(request))
    return request.id


def withdraw(service: Service, store: MemoryStore, request_id: str, *, journal: bool = True) -> None:
    with service.database.unit_of_work() as session:
        request = session.get_one(ForgetRequest, request_id)
        decisions.cancel(Transaction(session, service.audit), request, Decision("portal", NOON, "other"))
        entries = suppressions.lifts(session)
    for entry in entries if journal else ():
        store.append_journal(entry)


def status(service: Service, request_id: str) -> str:
    with service.database.read() as session:
        return session.get_one(ForgetRequest, request_id).status


def lost_and_withdrawn(start: Start, store: MemoryStore) -> tuple[Service, Callable[[], None]]:
    """Somebody asked and withdrew after the backup that is back now: a process that has not noticed, and the backup."""
    service = start()
    restore = back_up(service.database.engine)
    withdraw(service, store, accept(service, store, "a"))
    restore()
    return Service(Database(service.database.engine), service.audit), restore


def test_a_request_that_was_cancelled_after_the_backup_is_cancelled_again(
    start: Start, store: MemoryStore, audit: AuditLog
) -> None:
    service = start()
    request_id = accept(service, store, "a")
    restore = back_up(service.database.engine)
    withdraw(service, store, request_id)
    restore()
    restored = start()
    assert (restored.suppressed(), status(restored, request_id)) == (set(), "cancelled")
    assert [one for one in verify(restored.database, audit, store).problems if request_id in one] == []


def test_a_request_that_was_accepted_and_cancelled_after_the_backup_stays_away(
    start: Start, store: MemoryStore, audit: AuditLog
) -> None:
    lost_and_withdrawn(start, store)
    restored = start()
    assert restored.suppressed() == set()
    assert verify(restored.database, audit, store).problems == ()


def test_a_request_after_a_cancelled_one_comes_back_alone(start: Start, store: MemoryStore) -> None:
    service = start()
    restore = back_up(service.database.engine)
    withdraw(service, store, accept(service, store, "a"))
    second = accept(service, store, "a")
    restore()
    restored = start()
    assert restored.suppressed() == {"a"}
    assert status(restored, second) == "queued"


def test_a_lift_lifts_no_other_request_of_the_same_person(start: Start, store: MemoryStore) -> None:
    """Nobody has noticed the restore when the person asks again, and the new request gets an old epoch."""
    unaware, _ = lost_and_withdrawn(start, store)
    again = accept(unaware, store, "a", journal=False)
    restored = start()
    assert restored.suppressed() == {"a"}
    assert status(restored, again) == "queued"


def test_a_process_that_knows_a_later_request_than_the_lift_has_it_accepted_again(
    start: Start, store: MemoryStore
) -> None:
    service = start()
    withdraw(service, store, accept(service, store, "a"))
    restore = back_up(service.database.engine)
    second = service.accept("a").request
    restore()
    known = {second.subject_hmac: second.epoch}
    assert join_timeline(service.database, service.audit, store, known) == 1
    assert service.suppressed() == {"a"}
    # A process that has not heard of the lift yet knows the first request only.
    other = start()
    assert join_timeline(other.database, other.audit, store, {"b" * 64: 1}) == 1


def test_a_process_that_has_not_heard_of_a_lift_has_nobody_forgotten_who_withdrew(
    start: Start, store: MemoryStore
) -> None:
    service = start()
    restore = back_up(service.database.engine)
    request_id = accept(service, store, "a")
    with service.database.read() as session:
        known = suppressions.suppression_epochs(session)
    withdraw(service, store, request_id)
    restore()
    assert join_timeline(service.database, service.audit, store, known) == 0
    assert service.suppressed() == set()


def test_whoever_came_back_is_forgotten_again_where_the_restored_data_are_the_old_ones(
    start: Start, store: MemoryStore
) -> None:
    service = start()
    restore = back_up(service.database.engine)
    request_id = accept(service, store, "a")
    with service.database.read() as session:
        run_id = session.get_one(ForgetRequest, request_id).run_id
    assert run_id is None
    complete(service)
    readmit(service, store, request_id)
    assert start().suppressed() == set()
    restore()
    restored = start()
    assert (restored.suppressed(), status(restored, request_id)) == ({"a"}, "queued")


def complete(service: Service) -> None:
    claim = service.claimed(service.queued_run(), NOON + timedelta(minutes=1))
    service.publish(claim, "1")
    service.finish(claim)


def test_a_restored_request_must_be_approved_again_where_the_policy_says_so(
    start: Start, store: MemoryStore
) -> None:
    service = start()
    restore = back_up(service.database.engine)
    request_id = accept(service, store, "a")
    restore()
    restored = start(RequestPolicy(approval=True, cancel_window_hours=24))
    assert (restored.suppressed(), status(restored, request_id)) == ({"a"}, "pending_approval")


def test_a_lift_is_not_taken_for_a_suppression_with_the_same_epoch(start: Start, store: MemoryStore) -> None:
    """The journal's entry has the epoch that an unaware process hands out to a lift."""
    service = start()
    first = accept(service, store, "a")
    restore = back_up(service.database.engine)
    accept(service, store, "c")
    restore()
    unaware = Service(Database(service.database.engine), service.audit)
    withdraw(unaware, store, first, journal=False)
    restored = start()
    assert restored.suppressed() == {"c"}
    with restored.database.read() as session:
        (lift,) = suppressions.lifts(session)
    store.append_journal(lift)


def test_a_request_after_one_that_was_open_in_the_backup_and_withdrawn_since_comes_back(
    start: Start, store: MemoryStore
) -> None:
    """The backup has the first request, and neither its end nor the second one."""
    service = start()
    first = accept(service, store, "a")
    restore = back_up(service.database.engine)
    withdraw(service, store, first)
    second = accept(service, store, "a")
    restore()
    restored = start()
    assert (restored.suppressed(), status(restored, first)) == ({"a"}, "cancelled")
    assert status(restored, second) == "queued"


def test_whoever_came_back_and_asked_again_is_forgotten_again(start: Start, store: MemoryStore) -> None:
    """The backup knows only that they were forgotten once."""
    service = start()
    first = accept(service, store, "a")
    complete(service)
    restore = back_up(service.database.engine)
    readmit(service, store, first)
    second = accept(service, store, "a")
    restore()
    restored = start()
    assert restored.suppressed() == {"a"}
    assert (status(restored, first), status(restored, second)) == ("completed", "queued")


def test_a_request_with_the_epoch_of_a_lost_one_of_the_same_person_survives_the_next_restore(
    start: Start, store: MemoryStore
) -> None:
    unaware, restore = lost_and_withdrawn(start, store)
    again = accept(unaware, store, "a", journal=False)
    write_down(start(), store, again)
    restore()
    assert start().suppressed() == {"a"}


def test_a_request_with_the_epoch_of_a_lost_selection_of_the_same_person_survives_too(
    start: Start, store: MemoryStore
) -> None:
    service = start()
    restore = back_up(service.database.engine)
    accepted = select_events(service, about("x"))
    store.append_journal(forget_requests.journal_entry(accepted.request, accepted.selected))
    restore()
    unaware = Service(Database(service.database.engine), service.audit)
    again = accept(unaware, store, "a", journal=False)
    write_down(start(), store, again)
    restore()
    assert start().suppressed() == {"a"}


def readmit(service: Service, store: MemoryStore, request_id: str) -> None:
    for actor in ("officer", "counsel"):
        with service.database.unit_of_work() as session:
            request = session.get_one(ForgetRequest, request_id)
            decisions.readmit(
                Transaction(session, service.audit), request, Decision(actor, NOON, "new_consent")
            )
            entries = suppressions.lifts(session)
    for entry in entries:
        store.append_journal(entry)


def write_down(service: Service, store: MemoryStore, request_id: str) -> None:
    """What the run of the request does first."""
    with service.database.read() as session:
        request = session.get_one(ForgetRequest, request_id)
        store.append_journal(forget_requests.journal_entry(request))
