from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import func, select

from app.audit.transaction import Transaction
from app.db.models import AuditEntry, ForgetRequest, Interaction, Run, Suppression
from app.forget_requests import service as forget_requests
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.restoration.service import join_timeline
from app.runs import queries as run_queries
from app.runs import service as runs
from model_store import JournalEntry, MemoryStore
from tests.integration.db.conftest import NOON, Service


def count(service: Service, table: type) -> int:
    with service.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_acceptance_commits_request_suppression_run_and_audit_together(service: Service) -> None:
    accepted = service.accept("a")
    assert accepted.created
    assert [count(service, table) for table in (ForgetRequest, Suppression, Run, AuditEntry)] == [1, 1, 1, 1]


def test_nothing_remains_of_an_acceptance_that_did_not_commit(service: Service) -> None:
    class Interrupted(Exception):
        pass

    try:
        with service.database.unit_of_work() as session:
            forget_requests.accept(
                Transaction(session, service.audit), subject_hmac="a" * 64, requested_by="tests", now=NOON
            )
            session.flush()
            raise Interrupted
    except Interrupted:
        pass
    assert [count(service, table) for table in (ForgetRequest, Suppression, Run, AuditEntry)] == [0, 0, 0, 0]


def test_many_simultaneous_requests_for_one_subject_become_one(service: Service) -> None:
    with ThreadPoolExecutor(16) as pool:
        accepted = list(pool.map(lambda _: service.accept("a"), range(64)))
    assert sum(item.created for item in accepted) == 1
    assert len({item.request.id for item in accepted}) == 1
    assert [count(service, table) for table in (ForgetRequest, Suppression, Run, AuditEntry)] == [1, 1, 1, 1]


def test_simultaneous_subjects_get_epochs_without_a_gap_and_share_one_run(service: Service) -> None:
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(service.accept, "0123456789abcdef"))
    assert sorted(item.request.epoch for item in accepted) == list(range(1, 17))
    assert len({item.run_id for item in accepted}) == 1


def test_a_repeat_never_moves_the_deadline(service: Service) -> None:
    first = service.accept("a").request
    again = service.accept("a", now=NOON + timedelta(days=20)).request
    assert again.id == first.id
    assert again.due_at == first.due_at


def test_a_repeat_after_completion_returns_the_completed_request(service: Service) -> None:
    accepted = service.accept("a")
    claim = service.claimed(accepted.run_id)
    service.publish(claim, "1")
    service.finish(claim)
    again = service.accept("a")
    assert not again.created
    assert again.request.status == "completed"


def test_retry_keeps_request_and_clock(service: Service) -> None:
    accepted = service.accept("a")
    claim = service.claimed(accepted.run_id)
    with service.database.unit_of_work() as session:
        runs.give_up(
            Transaction(session, service.audit),
            runs.owned(session, claim.run_id, claim.fence),
            code="tests",
            detail="tests",
        )
    with service.database.unit_of_work() as session:
        retried = forget_requests.retry(
            Transaction(session, service.audit), accepted.request.id, actor="tests", now=NOON
        )
    assert retried is not None
    assert (retried.id, retried.status, retried.due_at) == (
        accepted.request.id,
        "queued",
        accepted.request.due_at,
    )
    with service.database.read() as session:
        assert run_queries.queued_run(session) not in (None, claim.run_id)


def test_events_of_a_suppressed_subject_are_dropped_and_repeats_change_nothing(service: Service) -> None:
    events = [NewInteraction("a" * 64, "item", 1), NewInteraction("b" * 64, "item", 1)]
    service.accept("a")
    with service.database.unit_of_work() as session:
        first = interactions.ingest(session, events)
    with service.database.unit_of_work() as session:
        second = interactions.ingest(session, events)
    assert (first.stored, first.duplicates, first.suppressed) == (1, 0, 1)
    assert (second.stored, second.duplicates, second.suppressed) == (0, 1, 1)


def test_no_event_slips_in_beside_an_acceptance(service: Service) -> None:
    """Whatever order ingest and acceptance commit in, nothing of the subject is there after the erasure."""

    def ingest(number: int) -> None:
        with service.database.unit_of_work() as session:
            interactions.ingest(session, [NewInteraction("a" * 64, f"item{number}", number)])

    with ThreadPoolExecutor(8) as pool:
        ingests = [pool.submit(ingest, number) for number in range(12)]
        accepting = pool.submit(service.accept, "a")
        ingests += [pool.submit(ingest, number) for number in range(12, 24)]
        for future in ingests:
            future.result()
    claim = service.claimed(accepting.result().run_id)
    service.publish(claim, "1")
    service.finish(claim)
    assert count(service, Interaction) == 0


def test_replaying_the_journal_takes_no_epoch_that_the_journal_holds(service: Service) -> None:
    """Two lost requests: the first one's new epoch must not be the second one's old one."""
    store = MemoryStore()
    for epoch, subject in ((1, "a"), (2, "b")):
        store.append_journal(JournalEntry(epoch, subject * 64, NOON.isoformat()))
    assert join_timeline(service.database, service.audit, store) == 2
    assert join_timeline(service.database, service.audit, store) == 0
    with service.database.read() as session:
        requests = session.scalars(select(ForgetRequest)).all()
        for request in requests:
            store.append_journal(forget_requests.journal_entry(request))
    assert sorted(request.epoch for request in requests) == [3, 4]


def test_a_restored_database_learns_from_the_journal_whom_it_had_forgotten(service: Service) -> None:
    with service.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction("a" * 64, "item", 1)])
    entry = forget_requests.journal_entry(ForgetRequest(subject_hmac="a" * 64, epoch=41, received_at=NOON))
    store = MemoryStore()
    store.append_journal(entry)
    assert join_timeline(service.database, service.audit, store) == 1
    assert join_timeline(service.database, service.audit, store) == 0
    again = service.accept("a")
    assert not again.created
    assert again.request.received_at == NOON
    assert again.request.epoch > 41
