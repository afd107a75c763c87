"""A request says of each thing that must be done whether it is done, and is completed with all of them (R-3)."""

from __future__ import annotations

from datetime import timedelta

from app.audit.transaction import Transaction
from app.db.models import ForgetRequest, Recipient
from app.forget_requests import decisions, duties
from app.forget_requests.duties import Duty
from app.readers.service import record_base_readers
from app.runs import completion
from app.runs.service import Claim
from app.runs.splitting import SplitOut
from app.selections.criteria import Criteria
from app.targets import service as targets
from tests.integration.db.conftest import NOON, Service
from tests.integration.db.test_decisions import accept, decide, hold
from tests.integration.db.test_decisions import complete as finished
from tests.integration.db.test_targets import acknowledge, register
from tests.integration.db.test_unverified_requests import receive, verify

HIDDEN = {
    "suppression": "done",
    "model": "waiting",
    "replicas": "waiting",
    "training_set": "waiting",
    "old_versions": "waiting",
    "recipients": "waiting",
}


def of(service: Service, request_id: str) -> list[Duty]:
    with service.database.read() as session:
        request = session.get_one(ForgetRequest, request_id)
        return duties.of_request(session, request, targets.of_request(session, request_id))


def states(service: Service, request_id: str) -> dict[str, str]:
    return {duty.name: duty.state for duty in of(service, request_id)}


def erase(service: Service, claim: Claim, *, unread: frozenset[str] = frozenset()) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        completion.erase_subjects(transaction, claim, unread=unread, base_digest="b" * 64)


def complete(service: Service, claim: Claim) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        completion.complete(transaction, claim, (), now=NOON + timedelta(hours=1))


def test_r3_each_duty_is_done_when_it_is_and_not_before(service: Service) -> None:
    register(service, "retriever", Recipient.MANDATORY)
    register(service, "cache", Recipient.OPTIONAL)
    accepted = service.accept("a")
    request = accepted.request.id
    assert states(service, request) == HIDDEN

    claim = service.claimed(accepted.run_id)
    assert states(service, request) == HIDDEN | {"model": "working"}

    service.publish(claim, "1")
    published = HIDDEN | {"model": "done", "replicas": "working"}
    assert states(service, request) == published

    erase(service, claim)
    erased = published | {
        "replicas": "done", "training_set": "done", "old_versions": "working", "recipients": "working",
    }  # fmt: skip
    assert states(service, request) == erased

    complete(service, claim)
    assert states(service, request) == erased | {"old_versions": "done"}
    (waiting,) = (duty for duty in of(service, request) if duty.detail_code)
    assert (waiting.name, waiting.detail_code) == ("recipients", "recipients_silent")

    assert acknowledge(service, request, "retriever")
    found = of(service, request)
    assert [duty.state for duty in found] == ["done"] * 6
    times = [duty.at for duty in found if duty.at is not None]
    assert len(times) == 6
    assert found[1].at == NOON
    assert found[4].at == NOON + timedelta(hours=1)


def test_r3_nothing_is_done_for_whom_nobody_has_verified_and_nothing_owed_for_whoever_stays(
    service: Service,
) -> None:
    request = receive(service)
    assert states(service, request.id) == HIDDEN | {"suppression": "waiting"}
    verify(service, request)
    assert states(service, request.id) == HIDDEN
    decide(service, request.id, decisions.cancel)
    assert of(service, request.id) == []


def test_r3_selected_events_are_hidden_though_no_time_is_kept(service: Service) -> None:
    request = receive(service, Criteria(None, None, 2_000_000_000, until=int(NOON.timestamp())))
    assert states(service, request.id) == HIDDEN | {"suppression": "waiting"}
    verify(service, request)
    (hidden, *_) = of(service, request.id)
    assert (hidden.state, hidden.at) == ("done", None)


def test_r3_a_request_that_leaves_its_run_has_its_duties_before_it(service: Service) -> None:
    accepted = service.accept("a")
    claim = service.claimed(accepted.run_id)
    service.publish(claim, "1", split=SplitOut(returned={accepted.request.id: 1}))
    erase(service, claim)
    complete(service, claim)
    assert states(service, accepted.request.id) == HIDDEN


def test_r3_what_nothing_had_read_needs_its_events_deleted_only(service: Service) -> None:
    accepted = service.accept("a")
    claim = service.claimed(accepted.run_id)
    erase(service, claim, unread=frozenset({"a" * 64}))
    complete(service, claim)
    not_needed = dict.fromkeys(("model", "replicas", "old_versions", "recipients"), "not_needed")
    assert states(service, accepted.request.id) == HIDDEN | not_needed | {"training_set": "done"}


def test_r3_a_base_that_has_read_them_keeps_the_model_open(service: Service) -> None:
    record_base_readers(service.database, service.audit, "b" * 64, ["a" * 64], actor="operator")
    accepted = service.accept("a")
    claim = service.claimed(accepted.run_id)
    service.publish(claim, "1")
    erase(service, claim)
    complete(service, claim)
    assert states(service, accepted.request.id) == HIDDEN | {
        "training_set": "done", "recipients": "not_needed",
    }  # fmt: skip
    open_ = [(duty.name, duty.detail_code) for duty in of(service, accepted.request.id) if duty.detail_code]
    assert open_ == [("model", "known_to_base")]


def test_r3_a_hold_stops_all_but_the_suppression_and_whoever_returns_lifts_that_only(
    service: Service,
) -> None:
    held = accept(service, "b")
    decide(service, held, hold)
    assert states(service, held) == HIDDEN
    request = finished(service, "a")
    for person in ("officer", "counsel"):
        decide(service, request, decisions.readmit, actor=person)
    assert states(service, request)["suppression"] == "lifted"
    assert {duty.state for duty in of(service, request)} == {"lifted", "done", "not_needed"}
