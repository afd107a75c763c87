"""What people decide about requests, on both databases (R-2, R-17 to R-20, R-25, R-47)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from app.audit.transaction import Transaction
from app.audit.verification import verify
from app.clock.deadlines import Regime
from app.db.models import ForgetRequest, Suppression
from app.forget_requests import deadlines, decisions
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision, Refused
from app.forget_requests.policy import AskedClock, RequestPolicy
from app.forget_requests.service import Asked
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.readers.service import record_base_readers
from app.restoration.service import join_timeline
from app.suppressions import queries as suppressions
from app.transitions import IllegalTransition
from model_store import MemoryStore
from tests.integration.db.conftest import NOON, Service

STRICT = RequestPolicy(approval=True, cancel_window_hours=24)
Decide = Callable[[Transaction, ForgetRequest, Decision], object]


def accept(service: Service, subject: str, policy: RequestPolicy = STRICT) -> str:
    with service.database.unit_of_work() as session:
        accepted = forget_requests.accept(
            Transaction(session, service.audit),
            subject_hmac=subject * 64,
            requested_by="portal",
            now=NOON,
            policy=policy,
        )
    return accepted.request.id


def decide(
    service: Service,
    request_id: str,
    decision: Decide,
    *,
    actor: str = "officer",
    reason: str = "other",
    now: datetime = NOON,
) -> ForgetRequest:
    with service.database.unit_of_work() as session:
        transaction = Transaction(session, service.audit)
        request = session.get_one(ForgetRequest, request_id, with_for_update=True)
        decision(transaction, request, Decision(actor, now, reason))
    return request


def approve(transaction: Transaction, request: ForgetRequest, decision: Decision) -> object:
    return decisions.approve(transaction, request, decision, STRICT)


def hold(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
    decisions.hold(transaction, request, decision, review_at=decision.now + timedelta(days=30))


def complete(service: Service, subject: str) -> str:
    request_id = accept(service, subject, RequestPolicy())
    claim = service.claimed(service.queued_run())
    service.publish(claim, "1")
    service.finish(claim)
    return request_id


def test_r47_a_second_person_approves_and_the_window_opens_then(service: Service) -> None:
    request_id = accept(service, "a")
    assert service.suppressed() == {"a"}
    assert service.queued_run() is None
    with pytest.raises(Refused, match="Somebody else"):
        decide(service, request_id, approve, actor="portal")
    approved = decide(service, request_id, approve, now=NOON + timedelta(hours=2))
    assert (approved.status, approved.cancel_until) == ("scheduled", NOON + timedelta(hours=26))
    assert service.queued_run() is None
    with pytest.raises(IllegalTransition):
        decide(service, request_id, approve)


def test_a_window_ends_by_itself_and_not_before(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy(cancel_window_hours=1))
    for moment, ended in ((NOON + timedelta(minutes=59), 0), (NOON + timedelta(hours=1), 1)):
        with service.database.unit_of_work() as session:
            transaction = Transaction(session, service.audit)
            assert forget_requests.has_ended_window(session, moment) == bool(ended)
            assert forget_requests.end_windows(transaction, moment) == ended
    with service.database.read() as session:
        assert session.get_one(ForgetRequest, request_id).status == "queued"
    assert service.queued_run() is not None


@pytest.mark.parametrize("prepare", [None, approve, hold], ids=["pending", "scheduled", "held"])
def test_r17_a_request_is_cancelled_before_a_run_takes_it_and_the_suppression_is_lifted(
    service: Service, prepare: Decide | None
) -> None:
    request_id = accept(service, "a")
    if prepare is not None:
        decide(service, request_id, prepare)
    cancelled = decide(service, request_id, decisions.cancel, actor="portal")
    assert (cancelled.status, cancelled.withdrawn_at) == ("cancelled", NOON)
    assert service.suppressed() == set()
    with service.database.unit_of_work() as session:
        row = session.scalars(select(Suppression)).one()
        assert (row.lifted_because, row.lifted_epoch) == ("cancelled", cancelled.epoch + 1)
        assert outbox.take(session, Topic.LIFTED, now=NOON, again_after=timedelta(1)) == [
            str(row.lifted_epoch)
        ]
        entry = suppressions.lift_of(session, row.lifted_epoch or 0)
    assert entry is not None
    assert (entry.request, entry.lifted, entry.schema) == (request_id, "cancelled", 3)
    # Asking again makes a new request, with an epoch and a clock of its own.
    again = accept(service, "a", RequestPolicy())
    assert again != request_id
    assert service.suppressed() == {"a"}


def test_r17_cancelling_loses_to_the_claim_of_a_run(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy())
    service.claimed(service.queued_run())
    for decision in (decisions.cancel, hold):
        with pytest.raises(IllegalTransition, match="unlearning"):
            decide(service, request_id, decision)
    assert service.suppressed() == {"a"}


def test_a_run_whose_last_request_was_cancelled_has_nothing_to_do(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy())
    run_id = service.queued_run()
    assert run_id is not None
    decide(service, request_id, decisions.cancel)
    claim = service.claim(run_id)
    assert claim is None or claim.requests == ()


def test_r19_a_denial_takes_two_people_who_give_the_same_reason(service: Service) -> None:
    request_id = accept(service, "a")
    first = decide(service, request_id, decisions.deny, reason="no_match")
    assert first.status == "pending_approval"
    with pytest.raises(Refused, match="second person"):
        decide(service, request_id, decisions.deny, reason="no_match")
    other = decide(service, request_id, decisions.deny, actor="counsel", reason="suspected_fraud")
    assert other.status == "pending_approval"
    assert service.suppressed() == {"a"}
    denied = decide(service, request_id, decisions.deny, reason="suspected_fraud")
    assert denied.status == "denied"
    assert service.suppressed() == set()


def test_r19_a_hold_stops_a_request_and_neither_its_suppression_nor_its_clock(service: Service) -> None:
    request_id = accept(service, "a", RequestPolicy())
    due_at = decide(service, request_id, hold).due_at
    assert service.suppressed() == {"a"}
    claim = service.claim(service.queued_run() or "")
    assert claim is None or claim.requests == ()
    released = decide(service, request_id, decisions.release)
    assert (released.status, released.due_at, released.review_at) == ("queued", due_at, None)


def test_a_released_request_goes_back_to_its_approval_or_to_the_rest_of_its_window(service: Service) -> None:
    request_id = accept(service, "a")
    decide(service, request_id, hold)
    assert decide(service, request_id, decisions.release).status == "pending_approval"
    decide(service, request_id, approve)
    decide(service, request_id, hold)
    assert decide(service, request_id, decisions.release).status == "scheduled"
    decide(service, request_id, hold)
    late = decide(service, request_id, decisions.release, now=NOON + timedelta(hours=25))
    assert late.status == "queued"
    with pytest.raises(Refused, match="future"):
        decide(
            service,
            request_id,
            lambda transaction, request, decision: decisions.hold(
                transaction, request, decision, review_at=NOON
            ),
        )


def test_r19_a_deadline_is_extended_once_before_it_has_passed(service: Service) -> None:
    request_id = accept(service, "a")
    extended = decide(service, request_id, decisions.extend, reason="complexity")
    assert extended.due_at == datetime(2026, 4, 30, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(Refused, match="moved before"):
        decide(service, request_id, decisions.extend, reason="complexity")
    late = accept(service, "b")
    with pytest.raises(Refused):
        decide(service, late, decisions.extend, now=NOON + timedelta(days=40))


def test_an_expedited_request_goes_first(service: Service) -> None:
    accept(service, "a", RequestPolicy())
    later = accept(service, "b", RequestPolicy(cancel_window_hours=24))
    assert decide(service, later, decisions.expedite).status == "queued"
    claim = service.claimed(service.queued_run(), max_subjects=1)
    assert [request.id for request in claim.requests] == [later]
    with pytest.raises(IllegalTransition):
        decide(service, later, decisions.expedite)


def test_r25_whoever_comes_back_needs_two_people_and_nothing_old_returns(service: Service) -> None:
    old = NewInteraction("a" * 64, "old", int(NOON.timestamp()) - 60)
    with service.database.unit_of_work() as session:
        interactions.ingest(session, [old])
    request_id = complete(service, "a")
    assert decide(service, request_id, decisions.readmit).readmitted_at is None
    with pytest.raises(Refused, match="second person"):
        decide(service, request_id, decisions.readmit)
    assert service.suppressed() == {"a"}
    back = decide(service, request_id, decisions.readmit, actor="counsel")
    assert (back.status, back.outcome, back.readmitted_at) == ("completed", "erased", NOON)
    assert service.suppressed() == set()
    new = NewInteraction("a" * 64, "new", int(NOON.timestamp()) + 60)
    with service.database.unit_of_work() as session:
        told = interactions.ingest(session, [old, new])
        assert (told.stored, told.suppressed) == (1, 1)
        assert interaction_queries.newest_items(session, "a" * 64, limit=9) == ["new"]
    with pytest.raises(IllegalTransition):
        decide(service, request_id, decisions.readmit, actor="third")
    # To be forgotten again is a new request, and its outcome is not `no_data` because of the first one.
    assert accept(service, "a", RequestPolicy()) != request_id


def test_every_decision_is_in_a_log_that_verifies_and_a_lift_by_hand_is_found(service: Service) -> None:
    store = MemoryStore()
    join_timeline(service.database, service.audit, store)
    decide(service, accept(service, "a"), decisions.cancel)
    decide(service, accept(service, "b"), decisions.extend)
    held = accept(service, "c")
    decide(service, held, hold)
    assert verify(service.database, service.audit, store).problems == ()
    with service.database.unit_of_work() as session:
        session.execute(
            text(
                "UPDATE suppressions SET lifted_epoch = 999, lifted_because = 'cancelled' WHERE subject_hmac = :s"
            ),
            {"s": "c" * 64},
        )
    assert any("no entry says so" in one for one in verify(service.database, service.audit, store).problems)


def test_what_may_be_done_now_is_said(service: Service) -> None:
    request_id = accept(service, "a")
    with service.database.read() as session:
        request = session.get_one(ForgetRequest, request_id)
        assert decisions.allowed(request, NOON) == ["approve", "cancel", "deny", "extend", "hold"]
        assert "extend" not in decisions.allowed(request, NOON + timedelta(days=40))


def test_r50_warnings_are_recorded_once_each_and_not_for_what_is_over(service: Service) -> None:
    open_, over = accept(service, "a"), accept(service, "b")
    decide(service, over, decisions.cancel)
    with service.database.read() as session:
        due_at = session.get_one(ForgetRequest, open_).due_at
    half = NOON + (due_at - NOON) * 0.6
    for moment, expected in (
        (NOON, {}),
        (half, {open_: 50}),
        (half, {}),
        (due_at + timedelta(1), {open_: 100}),
    ):
        with service.database.unit_of_work() as session:
            transaction = Transaction(session, service.audit)
            due = deadlines.due_warnings(session, moment)
            assert due == expected
            deadlines.warn(transaction, due)


def test_r48_the_clock_runs_by_the_regime_and_the_zone_that_the_caller_names(service: Service) -> None:
    with service.database.unit_of_work() as session:
        request = forget_requests.accept(
            Transaction(session, service.audit),
            subject_hmac="a" * 64,
            requested_by="portal",
            now=NOON,
            asked=Asked(clock=AskedClock(Regime.CCPA, "Pacific/Kiritimati", NOON - timedelta(days=2))),
        ).request
    # 45 days from the day on which the person asked, in their zone, which is 14 hours ahead.
    assert request.due_at == datetime(2026, 3, 16, 9, 59, 59, tzinfo=UTC)
    extended = decide(service, request.id, decisions.extend)
    assert extended.due_at == datetime(2026, 4, 30, 9, 59, 59, tzinfo=UTC)


def test_nobody_alone_brings_back_who_was_erased_and_is_known_to_the_base(service: Service) -> None:
    old = NewInteraction("a" * 64, "old", int(NOON.timestamp()) - 60)
    with service.database.unit_of_work() as session:
        interactions.ingest(session, [old])
    request_id = complete(service, "a")
    record_base_readers(service.database, service.audit, "b" * 64, ["a" * 64], actor="operator")
    with service.database.unit_of_work() as session:
        forget_requests.retry(Transaction(session, service.audit), request_id, actor="operator", now=NOON)
    for decision in (decisions.cancel, decisions.deny):
        with pytest.raises(IllegalTransition):
            decide(service, request_id, decision)
    with service.database.read() as session:
        request = session.get_one(ForgetRequest, request_id)
        assert not {"cancel", "deny"} & set(decisions.allowed(request, NOON))
    assert service.suppressed() == {"a"}
    with service.database.unit_of_work() as session:
        assert interactions.ingest(session, [old]).stored == 0
