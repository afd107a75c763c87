"""R-9: an end user's request begins when somebody has verified it, and not before, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from app.audit.transaction import Transaction
from app.audit.verification import verify as verify_log
from app.db.models import AuditEntry, ForgetRequest, Ledger
from app.forget_requests import decisions, unverified, verification
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision, Refused
from app.forget_requests.policy import RequestPolicy
from app.forget_requests.service import Acceptance, Asked
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.replicas.service import DatabaseControlPlane
from app.restoration.service import join_timeline
from app.selections.criteria import Criteria, item_digests
from app.suppressions import queries as suppressions
from app.transitions import IllegalTransition
from model_store import MemoryStore
from tests.integration.backup import back_up
from tests.integration.db.conftest import NOON, Service

POLICY = RequestPolicy(verification_hours=24)
COMMITMENT = "c" * 64
SUBJECT = "a" * 64


def receive(service: Service, criteria: Criteria | None = None) -> ForgetRequest:
    with Transaction.begin(service.database, service.audit) as transaction:
        return verification.receive(
            transaction,
            subject_hmac=SUBJECT,
            requested_by="user",
            now=NOON,
            policy=POLICY,
            asked=Asked(subject_commitment=COMMITMENT),
            criteria=criteria,
        ).request


def verify(service: Service, request: ForgetRequest, actor: str = "portal") -> Acceptance:
    with Transaction.begin(service.database, service.audit) as transaction:
        held = transaction.session.get_one(ForgetRequest, request.id)
        return verification.verify(transaction, held, Decision(actor, NOON, "telephone"), POLICY)


def expire(service: Service, now: datetime) -> int:
    with Transaction.begin(service.database, service.audit) as transaction:
        return unverified.expire(transaction, now)


def read(service: Service, request: ForgetRequest) -> ForgetRequest:
    with service.database.read() as session:
        return session.get_one(ForgetRequest, request.id)


def in_force(service: Service) -> set[str]:
    with service.database.read() as session:
        return suppressions.suppressed_subjects(session)


def problems(service: Service, store: MemoryStore) -> tuple[str, ...]:
    return verify_log(service.database, service.audit, store).problems


def test_r9_nothing_begins_before_the_verification_and_the_clock_runs_from_receipt(service: Service) -> None:
    request = receive(service)
    assert (request.status, request.verify_until) == ("pending_verification", NOON + timedelta(hours=24))
    assert in_force(service) == set()
    assert DatabaseControlPlane(service.database).read(0).suppressed == ()
    with service.database.read() as session:
        before = session.get_one(Ledger, 1).epoch
    told = verify(service, request)
    assert told.began
    assert told.run_id is not None
    after = read(service, request)
    assert (after.status, after.due_at) == ("queued", request.due_at)
    # Replicas that have read the feed up to `before` would not see a suppression with the former number.
    assert after.epoch > before
    assert in_force(service) == {SUBJECT}
    with service.database.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)).all()
    said = {entry.action: (entry.actor, entry.data) for entry in entries}
    assert said["forget.verified"] == ("portal", {"request": request.id, "method": "telephone"})
    actor, accepted = said["forget.accepted"]
    assert (actor, accepted["epoch"], accepted["subject_commitment"]) == ("user", after.epoch, COMMITMENT)
    with pytest.raises(IllegalTransition):
        verify(service, request)


def test_r9_who_asks_cannot_verify_it(service: Service) -> None:
    request = receive(service)
    with pytest.raises(Refused, match="Somebody else"):
        verify(service, request, "user")
    assert read(service, request).status == "pending_verification"


def test_r9_what_nobody_verifies_in_time_is_cancelled_and_has_lifted_nothing(
    service: Service, store: MemoryStore
) -> None:
    join_timeline(service.database, service.audit, store)
    request = receive(service)
    assert expire(service, NOON + timedelta(hours=24, seconds=-1)) == 0
    assert expire(service, NOON + timedelta(hours=24)) == 1
    over = read(service, request)
    assert (over.status, over.detail_code) == ("cancelled", "not_verified")
    with service.database.read() as session:
        assert suppressions.lifts(session) == []
    assert problems(service, store) == ()
    assert receive(service).id != request.id


@pytest.mark.parametrize("how", ["cancel", "deny"])
def test_it_can_be_withdrawn(service: Service, store: MemoryStore, how: str) -> None:
    join_timeline(service.database, service.audit, store)
    request = receive(service)
    for actor in ("one", "two") if how == "deny" else ("user",):
        with Transaction.begin(service.database, service.audit) as transaction:
            held = transaction.session.get_one(ForgetRequest, request.id)
            decide: Callable[..., object] = decisions.deny if how == "deny" else decisions.cancel
            decide(transaction, held, Decision(actor, NOON, "no_match"))
    assert read(service, request).status == {"cancel": "cancelled", "deny": "denied"}[how]
    assert problems(service, store) == ()


def test_r9_it_stands_in_the_way_of_nobody(service: Service, store: MemoryStore) -> None:
    join_timeline(service.database, service.audit, store)
    waiting = receive(service)
    assert receive(service).id == waiting.id
    accepted = service.accept("a")
    assert accepted.created
    assert receive(service).id == accepted.request.id
    store.append_journal(forget_requests.journal_entry(accepted.request))
    assert problems(service, store) == ()


@pytest.mark.parametrize("how", ["cancel", "deny"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_r9_it_is_not_lost_with_another_one_that_is_withdrawn(
    service: Service, store: MemoryStore, how: str
) -> None:
    join_timeline(service.database, service.audit, store)
    waiting = receive(service)
    mistaken = service.accept("a").request
    store.append_journal(forget_requests.journal_entry(mistaken))
    with pytest.raises(Refused, match="in force"):
        verify(service, waiting)
    assert (read(service, waiting).status, read(service, waiting).epoch) == (
        "pending_verification",
        waiting.epoch,
    )
    for actor in ("one", "two") if how == "deny" else ("one",):
        with Transaction.begin(service.database, service.audit) as transaction:
            held = transaction.session.get_one(ForgetRequest, mistaken.id)
            decide: Callable[..., object] = decisions.deny if how == "deny" else decisions.cancel
            decide(transaction, held, Decision(actor, NOON, "other"))
            lifts = suppressions.lifts(transaction.session)
    for entry in lifts:
        store.append_journal(entry)
    told = verify(service, waiting)
    store.append_journal(forget_requests.journal_entry(told.request))
    assert (told.began, told.request.status, told.request.due_at) == (True, "queued", waiting.due_at)
    assert in_force(service) == {SUBJECT}
    assert problems(service, store) == ()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_r9_what_waits_ends_when_another_one_has_forgotten_the_person(
    service: Service, store: MemoryStore
) -> None:
    join_timeline(service.database, service.audit, store)
    chosen = Criteria(item_digests(SUBJECT, ["x"]), None, None, int(NOON.timestamp()))
    waiting = [receive(service), receive(service, chosen)]
    accepted = service.accept("a")
    store.append_journal(forget_requests.journal_entry(accepted.request))
    claim = service.claim(accepted.run_id)
    assert {read(service, one).status for one in waiting} == {"pending_verification"}
    service.finish(claim)
    ends = {(over.status, over.detail_code) for over in (read(service, one) for one in waiting)}
    assert ends == {("cancelled", "superseded")}
    assert problems(service, store) == ()


def test_r9_events_are_shown_until_their_selection_is_verified(service: Service) -> None:
    with service.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction(SUBJECT, item, 10) for item in "xy"])

    def shown() -> set[str]:
        with service.database.read() as session:
            return set(interaction_queries.newest_items(session, SUBJECT, limit=9))

    chosen = Criteria(item_digests(SUBJECT, ["x"]), None, None, int(NOON.timestamp()))
    request = receive(service, chosen)
    assert (request.selected_events, shown()) == (None, {"x", "y"})
    assert receive(service, chosen).id == request.id
    told = verify(service, request)
    assert told.selected is not None
    assert (told.request.selected_events, shown()) == (1, {"y"})


@pytest.mark.parametrize("then", ["verified", "cancelled"])
def test_a_backup_from_before_the_verification(service: Service, store: MemoryStore, then: str) -> None:
    """The journal tells the restored database what became of the request, under the same id."""
    join_timeline(service.database, service.audit, store)
    request = receive(service)
    restore = back_up(service.database.engine)
    store.append_journal(forget_requests.journal_entry(verify(service, request).request))
    if then == "cancelled":
        with Transaction.begin(service.database, service.audit) as transaction:
            held = transaction.session.get_one(ForgetRequest, request.id)
            decisions.cancel(transaction, held, Decision("user", NOON, "other"))
            (entry,) = suppressions.lifts(transaction.session)
        store.append_journal(entry)
    restore()
    join_timeline(service.database, service.audit, store)
    expected = {"verified": ("queued", {SUBJECT}), "cancelled": ("cancelled", set())}[then]
    assert (read(service, request).status, in_force(service)) == expected
    assert problems(service, store) == ()


def test_i12_a_row_that_denies_its_verification_is_found(service: Service, store: MemoryStore) -> None:
    join_timeline(service.database, service.audit, store)
    request = receive(service)
    verify(service, request)
    with service.database.unit_of_work() as session:
        session.get_one(ForgetRequest, request.id).verify_until = NOON
    assert any("nobody has verified it" in problem for problem in problems(service, store))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()
