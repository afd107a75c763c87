"""Requests that leave a run, and runs that take only those who start at the same rung."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.attempts import queries as attempts
from app.attempts import service as attempt_records
from app.audit.transaction import Transaction
from app.db.errors import FenceLost
from app.db.models import Attempt, AuditEntry, ForgetRequest, Interaction
from app.forget_requests import service as forget_requests
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.runs import service as runs
from app.runs.service import Claim
from app.runs.splitting import SplitOut, split_out
from tests.integration.db.conftest import NOON, Service
from tests.integration.db.test_runs import LATER, attempt


def request_of(service: Service, subject: str) -> ForgetRequest:
    with service.database.read() as session:
        return session.scalars(select(ForgetRequest).where(ForgetRequest.subject_hmac == subject * 64)).one()


def let_go(service: Service, claim: Claim, split: SplitOut) -> None:
    """What a run does whose ladder ended."""
    with service.database.unit_of_work() as session:
        transaction = Transaction(session, service.audit)
        run = runs.owned(session, claim.run_id, claim.fence)
        split_out(transaction, run, split, now=NOON)
        runs.give_up(transaction, run, code="ladder_exhausted", detail="tests")


def test_who_leaves_waits_at_their_rung_under_their_own_clock(service: Service) -> None:
    for subject in "ab":
        service.accept(subject)
    claim = service.claimed(service.accepted_run("c"))
    ids = {request.subject[0]: request.id for request in claim.requests}
    before = request_of(service, "a").due_at
    let_go(service, claim, SplitOut(returned={ids["a"]: 1, ids["b"]: 2}))
    a, b, c = (request_of(service, subject) for subject in "abc")
    assert (a.status, a.first_step, a.run_id, a.due_at) == ("queued", 1, None, before)
    assert (b.status, b.first_step, b.run_id) == ("queued", 2, None)
    assert (c.status, c.detail_code, c.run_id) == ("needs_attention", "ladder_exhausted", claim.run_id)
    with service.database.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "forget.split_out")).all()
        assert service.audit.first_broken(session) is None
    assert [(entry.data["requests"], entry.data["step"]) for entry in entries] == [
        ([ids["a"]], 1),
        ([ids["b"]], 2),
    ]


def test_a_run_takes_only_those_who_start_where_its_most_urgent_request_does(service: Service) -> None:
    service.accept("a", now=NOON)
    service.accept("b", now=NOON + timedelta(days=1))
    first = service.claimed(service.accepted_run("c"))
    ids = {request.subject[0]: request.id for request in first.requests}
    let_go(service, first, SplitOut(returned={ids["a"]: 1, ids["b"]: 0, ids["c"]: 1}))
    service.accept("d", now=NOON + timedelta(days=2))
    second = service.claimed(service.queued_run())
    assert (second.first_step, [subject[0] for subject in second.subjects]) == (1, ["a", "c"])
    assert request_of(service, "b").status == "queued"
    service.publish(second, "1")
    service.finish(second)
    third = service.claimed(service.queued_run())
    assert (third.first_step, [subject[0] for subject in third.subjects]) == (0, ["b", "d"])


def test_a_full_run_leaves_a_run_for_the_rest(service: Service) -> None:
    service.accept("a")
    claim = service.claimed(service.accepted_run("b"), max_subjects=1)
    assert [subject[0] for subject in claim.subjects] == ["a"]
    assert service.queued_run() != claim.run_id


def test_publishing_splits_in_the_same_transaction_or_not_at_all(service: Service) -> None:
    with service.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction(subject * 64, "item", 1) for subject in "ab"])
    service.accept("a")
    claim = service.claimed(service.accepted_run("b"))
    ids = {request.subject[0]: request.id for request in claim.requests}
    split = SplitOut(returned={ids["a"]: 1})
    owner = service.claimed(claim.run_id, LATER)
    with pytest.raises(FenceLost):
        service.publish(claim, "1", split=split)
    assert request_of(service, "a").run_id == claim.run_id
    service.publish(owner, "1", split=split)
    assert request_of(service, "a").status == "queued"
    resumed = service.claimed(claim.run_id, LATER + timedelta(hours=1))
    assert [subject[0] for subject in resumed.subjects] == ["b"]
    # Whose requests are erased and completed is read again, not taken from a claim of before the split.
    service.finish(replace(resumed, requests=owner.requests))
    assert (request_of(service, "a").status, request_of(service, "b").status) == ("queued", "completed")
    with service.database.read() as session:
        assert session.scalars(select(Interaction.subject_hmac)).all() == ["a" * 64]


def test_a_retry_starts_at_the_first_rung(service: Service) -> None:
    service.accept("a")
    first = service.claimed(service.accepted_run("b"))
    ids = {request.subject[0]: request.id for request in first.requests}
    let_go(service, first, SplitOut(returned={ids["a"]: 2}))
    let_go(service, service.claimed(service.queued_run()), SplitOut())
    assert (request_of(service, "a").status, request_of(service, "a").first_step) == ("needs_attention", 2)
    with service.database.unit_of_work() as session:
        forget_requests.retry(Transaction(session, service.audit), ids["a"], actor="tests", now=NOON)
    assert (request_of(service, "a").status, request_of(service, "a").first_step) == ("queued", 0)


def test_attempts_are_counted_within_a_fence_and_found_by_request(service: Service) -> None:
    service.accept("a")
    claim = service.claimed(service.accepted_run("b"))
    a, b = (request.id for request in claim.requests)

    def record(holder: Claim, *requests: str) -> None:
        made = attempt(holder.run_id, holder.fence)
        made.requests = list(requests)
        with service.database.unit_of_work() as session:
            attempt_records.record(Transaction(session, service.audit), holder, made)

    record(claim, a, b)
    record(claim, a)
    again = service.claimed(claim.run_id, LATER)
    record(again, b)
    with service.database.read() as session:
        numbers = [(one.fence, one.number) for one in attempts.of_run(session, claim.run_id)]
        found = {
            subject: [one.id for one in attempts.of_request(session, request_of(service, subject).id)]
            for subject in "ab"
        }
    assert numbers == [(claim.fence, 0), (claim.fence, 1), (again.fence, 0)]
    assert found == {"a": [1, 2], "b": [1, 3]}


def test_the_slowest_of_the_last_twenty_attempts_of_a_method(service: Service) -> None:
    claim = service.claimed(service.accepted_run())
    with service.database.unit_of_work() as session:
        assert attempts.slowest(session, "ucan") is None
        for number, seconds in enumerate([999, 1, *[7] * 18, 3]):
            made = attempt(claim.run_id, claim.fence)
            made.number, made.finished_at = number, NOON + timedelta(seconds=seconds)
            session.add(made)
    with service.database.read() as session:
        assert attempts.slowest(session, "ucan") == timedelta(seconds=7)
        assert attempts.slowest(session, "refit") is None
        assert session.scalars(select(Attempt.id)).all()
