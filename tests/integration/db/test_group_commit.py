"""What threads of one process write at the same time becomes one transaction, and each hears of its own fate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import NoneType
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit.group_commit import BeforeLock, GroupCommit, NothingWritten
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.errors import DatabaseUnavailable
from app.db.models import ForgetRequest, PublicEvent
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.forget_requests.service import Acceptance
from tests.integration.db.conftest import Service


class Group:
    """A group commit whose transactions are counted, and the first of which waits until the rest have lined up."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self.transactions = 0
        self._database, self._audit = database, audit
        self._may_begin = threading.Event()
        self._begun = threading.Event()
        self.commit = GroupCommit(self._begin)

    @contextmanager
    def _begin(self, before_lock: BeforeLock) -> Iterator[Transaction]:
        self.transactions += 1
        self._begun.set()
        assert self._may_begin.wait(30)
        with self._database.unit_of_work() as session:
            before_lock(session)
            yield Transaction(session, self._audit)

    def all_at_once(self, works: list[Any]) -> list[Future[Any]]:
        """Write the first alone, and line all others up behind it: a subject, its work and what is done before it."""
        with ThreadPoolExecutor(len(works)) as pool:
            futures = [pool.submit(self._write, *works[0])]
            assert self._begun.wait(30)
            for work in works[1:]:
                futures.append(pool.submit(self._write, *work))
                while self.commit.waiting < len(futures) - 1:
                    threading.Event().wait(0.001)
            self._may_begin.set()
        return futures

    def _write(
        self, subject: str, work: Callable[[Transaction], Any], before_lock: BeforeLock = lambda _: None
    ) -> Any:
        return self.commit.write(subject, work, before_lock=before_lock)


def accept(subject: str) -> tuple[str, Callable[[Transaction], Acceptance]]:
    def work(transaction: Transaction) -> Acceptance:
        return forget_requests.accept(
            transaction, subject_hmac=subject * 64, requested_by="tests", now=transaction.now()
        )

    return subject, work


@pytest.fixture
def group(service: Service) -> Group:
    return Group(service.database, service.audit)


def stored(service: Service) -> list[tuple[int, str]]:
    with service.database.read() as session:
        rows = session.execute(select(ForgetRequest.epoch, ForgetRequest.subject_hmac))
        return sorted((epoch, subject[0]) for epoch, subject in rows)


def test_those_who_wait_share_a_transaction_and_each_is_accepted(service: Service, group: Group) -> None:
    accepted = [future.result() for future in group.all_at_once([accept(one) for one in "abcdefgh"])]
    assert group.transactions == 2
    assert [(one.request.epoch, one.request.subject_hmac[0]) for one in accepted] == stored(service)
    assert [epoch for epoch, _ in stored(service)] == list(range(1, 9))
    assert len({one.run_id for one in accepted}) == 1
    assert service.suppressed() == set("abcdefgh")
    with service.database.read() as session:
        assert service.audit.first_broken(session) is None
        told = session.scalars(select(PublicEvent.request_id).where(PublicEvent.name == "forget.accepted"))
        assert set(told) == {one.request.id for one in accepted}


def test_the_same_person_twice_is_one_request(service: Service, group: Group) -> None:
    futures = group.all_at_once([accept(one) for one in "abab"])
    accepted = [future.result() for future in futures]
    assert [one.created for one in accepted] == [True, True, False, False]
    # The first alone, the next two together, and who is in that group already after them.
    assert group.transactions == 3
    assert [epoch for epoch, _ in stored(service)] == [1, 2]


def test_a_failure_is_one_member_s_own(service: Service, group: Group) -> None:
    def fails(transaction: Transaction) -> None:
        accept("x")[1](transaction)
        raise ZeroDivisionError

    futures = group.all_at_once([accept("a"), accept("b"), ("x", fails), accept("c")])
    assert isinstance(futures[2].exception(), ZeroDivisionError)
    assert all(futures[number].result().created for number in (0, 1, 3))
    assert stored(service) == [(1, "a"), (2, "b"), (3, "c")]
    assert service.suppressed() == {"a", "b", "c"}


def test_a_row_that_the_database_refuses_fails_alone(service: Service, group: Group) -> None:
    def no_such_subject(transaction: Transaction) -> None:
        transaction.session.add(ForgetRequest(id="fr_1"))

    futures = group.all_at_once([accept("a"), ("x", no_such_subject), accept("b")])
    assert isinstance(futures[1].exception(), IntegrityError)
    assert stored(service) == [(1, "a"), (2, "b")]


def test_nobody_is_accepted_by_a_commit_that_fails(service: Service, group: Group) -> None:
    def refuse(_: Session) -> None:
        if group.transactions == 2:
            raise DatabaseUnavailable

    listen(Session, "before_commit", refuse)
    try:
        futures = group.all_at_once([accept(one) for one in "abc"])
    finally:
        remove(Session, "before_commit", refuse)
    assert futures[0].result().created
    assert [type(future.exception()) for future in futures[1:]] == [DatabaseUnavailable] * 2
    assert stored(service) == [(1, "a")]
    assert group.commit.write(*accept("b")).request.epoch == 2


def test_whoever_has_nothing_to_write_sends_nobody_alone(service: Service, group: Group) -> None:
    def declines(_: object) -> None:
        raise NothingWritten

    futures = group.all_at_once(
        [accept("a"), accept("b"), ("x", declines), accept("c"), ("y", lambda _: None, declines)]
    )
    assert [type(future.exception()) for future in futures] == [
        NoneType, NoneType, NothingWritten, NoneType, NothingWritten,
    ]  # fmt: skip
    assert group.transactions == 2
    assert stored(service) == [(1, "a"), (2, "b"), (3, "c")]


def test_an_outage_while_they_go_alone_is_found_once(service: Service, group: Group) -> None:
    def fails(_: Transaction) -> None:
        raise ZeroDivisionError

    def refuse(_: Session) -> None:
        # The first alone, the group, its first member alone, and then no more.
        if group.transactions > 3:
            raise DatabaseUnavailable

    listen(Session, "before_commit", refuse)
    try:
        futures = group.all_at_once([accept("a"), accept("b"), ("x", fails), accept("c"), accept("d")])
    finally:
        remove(Session, "before_commit", refuse)
    assert [type(future.exception()) for future in futures] == [
        NoneType, NoneType, ZeroDivisionError, DatabaseUnavailable, DatabaseUnavailable,
    ]  # fmt: skip
    # The last one was not tried.
    assert group.transactions == 5
    assert stored(service) == [(1, "a"), (2, "b")]
