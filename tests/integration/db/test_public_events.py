"""What others are told of requests and versions: with what it tells of, numbered as it is committed (R-45)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.audit.events import ForgetRetried, TimelineStarted
from app.audit.transaction import Transaction
from app.db.clock import database_now
from app.db.models import ForgetRequest, Run
from app.events import queries as events
from app.events.service import drop_old
from app.forget_requests import decisions
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision
from app.forget_requests.service import Asked
from app.runs import service as runs
from tests.integration.db.conftest import NOON, Service

Told = list[tuple[str, str | None, str | None]]


def told(service: Service, after: int = 0) -> Told:
    """Name, request and status of each event, after it was checked that no number is missing."""
    with service.database.read() as session:
        found = events.following(session, after, limit=1000)
        assert [event.sequence for event in found] == list(range(after + 1, after + 1 + len(found)))
        assert events.newest(session) == after + len(found)
        return [(event.name, event.request_id, event.status) for event in found]


def started(timeline: int) -> TimelineStarted:
    return TimelineStarted(timeline, 0, 0, {}, 0, 0, None)


def test_an_accepted_request_is_told_with_its_reference_and_without_its_subject(service: Service) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        accepted = forget_requests.accept(
            transaction,
            subject_hmac="a" * 64,
            requested_by="tests",
            now=NOON,
            asked=Asked(client_reference="T-1"),
        )
    request = accepted.request.id
    assert told(service) == [
        ("forget.accepted", request, "queued"),
        ("suppression.active", request, "queued"),
    ]
    with service.database.read() as session:
        for event in events.following(session, 0, limit=10):
            assert event.client_reference == "T-1"
            assert "a" * 64 not in str(vars(event))


def test_each_step_of_a_request_is_told_in_order(service: Service) -> None:
    first, second = service.accept("a"), service.accept("b")
    assert first.run_id is not None
    claim = service.claimed(first.run_id)
    service.publish(claim, "1")
    service.finish(claim)
    a, b = first.request.id, second.request.id
    steps = told(service, 4)
    assert steps[:3] == [
        ("forget.started", a, "unlearning"),
        ("forget.started", b, "unlearning"),
        ("version.published", None, None),
    ]
    # Nothing says in which order the requests of a run are completed.
    assert set(steps[3:]) == {("forget.completed", a, "completed"), ("forget.completed", b, "completed")}


def test_a_run_that_is_given_up_is_told_of_each_of_its_requests_and_the_retry_too(service: Service) -> None:
    first = service.accept("a")
    assert first.run_id is not None
    assert service.claim(first.run_id) is not None
    with Transaction.begin(service.database, service.audit) as transaction:
        run = transaction.session.get_one(Run, first.run_id)
        runs.give_up(transaction, run, code="claims_exhausted", detail="")
    with Transaction.begin(service.database, service.audit) as transaction:
        forget_requests.retry(transaction, first.request.id, actor="tests", now=NOON)
    assert told(service, 3) == [
        ("forget.needs_attention", first.request.id, "needs_attention"),
        ("forget.queued", first.request.id, "queued"),
    ]


def test_what_people_decide_is_told_with_the_status_that_the_request_has_afterwards(service: Service) -> None:
    held, cancelled = service.accept("a").request.id, service.accept("b").request.id
    now = Decision("officer", NOON, "other")

    def decide(request_id: str, decision: Callable[[Transaction, ForgetRequest], object]) -> None:
        with Transaction.begin(service.database, service.audit) as transaction:
            decision(transaction, transaction.session.get_one(ForgetRequest, request_id))

    decide(held, lambda work, request: decisions.hold(work, request, now, review_at=NOON + timedelta(days=1)))
    # It is recorded before the request is queued again, in the same transaction.
    decide(held, lambda work, request: decisions.release(work, request, now))
    decide(cancelled, lambda work, request: decisions.cancel(work, request, now))
    assert told(service, 4) == [
        ("forget.held", held, "on_hold"),
        ("forget.released", held, "queued"),
        ("suppression.lifted", cancelled, "cancelled"),
        ("forget.cancelled", cancelled, "cancelled"),
    ]


def test_nothing_is_told_of_what_did_not_happen_and_no_number_is_lost(service: Service) -> None:
    def fail() -> None:
        with Transaction.begin(service.database, service.audit) as transaction:
            forget_requests.accept(transaction, subject_hmac="a" * 64, requested_by="tests", now=NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert told(service) == []
    service.accept("b")
    assert len(told(service)) == 2


def test_many_writers_at_once_leave_no_gap_that_a_reader_sees(service: Service) -> None:
    """Whoever reads while others write sees all numbers up to the last one he sees."""
    done = False

    def read() -> None:
        last = 0
        while not done or last < 40:
            with service.database.read() as session:
                for event in events.following(session, last, limit=1000):
                    assert event.sequence == last + 1
                    last = event.sequence

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        list(pool.map(service.accept, "0123456789abcdefghij"))
        done = True
        for reader in readers:
            reader.result()


def test_old_events_are_dropped_and_numbers_go_on_growing(service: Service) -> None:
    service.accept("a")
    with service.database.unit_of_work() as session:
        drop_old(session, before=database_now(session) + timedelta(seconds=1))
    with service.database.read() as session:
        assert (events.oldest_kept(session), events.newest(session)) == (None, 2)
    service.accept("b")
    with service.database.read() as session:
        assert events.oldest_kept(session) == 3


def test_a_restored_database_uses_no_number_again_that_was_read_before(service: Service) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        transaction.record(started(1))
    assert told(service) == []
    service.accept("a")
    with Transaction.begin(service.database, service.audit) as transaction:
        transaction.record(started(2))
    with service.database.read() as session:
        found = events.following(session, 2, limit=10)
        assert [(event.sequence, event.name) for event in found] == [(2 * 2**32 + 1, "service.restored")]


def test_a_request_that_is_not_there_is_told_of_without_a_status(service: Service) -> None:
    """As in a database that was restored from before the request."""
    with Transaction.begin(service.database, service.audit) as transaction:
        transaction.record(ForgetRetried("fr_1"))
    assert told(service) == [("forget.queued", "fr_1", None)]
