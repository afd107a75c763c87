"""What is to be told outside: it is there with the change it is about, until it is told (I1)."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import select, text

from app.audit.transaction import Transaction
from app.db.errors import DatabaseError
from app.db.models import OutboxEntry, Run
from app.forget_requests import service as forget_requests
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.runs import service as runs
from tests.integration.db.conftest import NOON, Service

PAUSE = timedelta(seconds=30)


def waiting(service: Service) -> list[tuple[str, str]]:
    with service.database.read() as session:
        entries = session.scalars(select(OutboxEntry).order_by(OutboxEntry.id))
        return [(entry.topic, entry.reference) for entry in entries]


def taken(service: Service, now: datetime) -> list[str]:
    with service.database.unit_of_work() as session:
        return outbox.take(session, Topic.RUN_WAITING, now=now, again_after=PAUSE)


def test_a_run_that_waits_is_put_into_the_outbox_with_the_request_it_is_for(service: Service) -> None:
    run_id = service.accept("a").run_id
    service.accept("b")
    assert waiting(service) == [("run_waiting", run_id)]


def test_nothing_is_told_of_what_did_not_happen(service: Service) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_after_accepting(service)
    assert waiting(service) == []


def fail_after_accepting(service: Service) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        forget_requests.accept(transaction, subject_hmac="a" * 64, requested_by="tests", now=NOON)
        raise ZeroDivisionError


def test_what_could_not_be_told_is_due_again_and_not_for_every_sweeper_at_once(service: Service) -> None:
    run_id = service.accept("a").run_id
    assert taken(service, NOON) == [run_id]
    assert taken(service, NOON + PAUSE / 2) == []
    assert taken(service, NOON + PAUSE) == [run_id]


def test_what_is_told_is_gone(service: Service) -> None:
    run_id = service.accept("a").run_id
    assert run_id is not None
    with service.database.unit_of_work() as session:
        runs.mark_dispatched(session, run_id, NOON)
    assert waiting(service) == []


def test_of_a_run_that_somebody_works_on_nobody_is_told(service: Service) -> None:
    run_id = service.accept("a").run_id
    assert run_id is not None
    assert service.claim(run_id) is not None
    assert waiting(service) == []


def test_what_is_put_twice_is_told_once_and_the_oldest_first(service: Service) -> None:
    with service.database.unit_of_work() as session:
        for reference in ("ur_2", "ur_1", "ur_2"):
            outbox.put(session, Topic.RUN_WAITING, reference, now=NOON)
    assert taken(service, NOON) == ["ur_2", "ur_1"]


def test_telling_and_claiming_take_their_rows_in_the_same_order(service: Service) -> None:
    """Neither holds what the other waits for: the dispatch takes no ledger's lock."""
    run_id = service.accept("a").run_id
    assert run_id is not None
    failed: list[Exception] = []

    def dispatch() -> None:
        try:
            with service.database.unit_of_work() as session:
                runs.mark_dispatched(session, run_id, NOON)
        except DatabaseError as error:
            failed.append(error)

    with service.database.unit_of_work() as session:
        session.get_one(Run, run_id, with_for_update=True)
        dispatching = Thread(target=dispatch)
        dispatching.start()
        if session.get_bind().dialect.name == "postgresql":
            _until_somebody_waits(service)
        outbox.told(session, Topic.RUN_WAITING, run_id)
    dispatching.join()
    assert failed == []


def _until_somebody_waits(service: Service) -> None:
    query = text(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with service.database.read() as session:
            if session.scalar(query):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")
