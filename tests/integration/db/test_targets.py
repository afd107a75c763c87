"""Recipients are told once what was erased, and a request waits until they have done their part (R-3, R-43)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.audit.transaction import Transaction
from app.db.models import AuditEntry, ForgetRequest, Recipient, WebhookDelivery
from app.events import queries as events
from app.readers import service as readers
from app.runs.service import Claim
from app.targets import completion
from app.targets import service as targets
from app.versions.parts import Surroundings
from app.webhooks import service as webhooks
from tests.integration.db.conftest import NOON, Service

AROUND = Surroundings("b" * 64, retriever=False)


def register(service: Service, name: str, recipient: Recipient | None, *, active: bool = True) -> str:
    with Transaction.begin(service.database, service.audit) as transaction:
        endpoint = webhooks.register(
            transaction,
            name=name,
            url="https://hooks.example.com/",
            events=["forget.completed"],
            recipient=recipient,
            actor="tests",
            now=NOON,
        )
        if active:
            webhooks.activate(transaction, endpoint.id)
    return endpoint.id


def forget(service: Service, subject: str, *, finish: bool = True) -> tuple[str, Claim]:
    accepted = service.accept(subject)
    assert accepted.run_id is not None
    claim = service.claimed(accepted.run_id)
    if finish:
        service.finish(claim)
    return accepted.request.id, claim


def acknowledge(service: Service, request: str, name: str, *, by: str = "retriever") -> bool:
    with Transaction.begin(service.database, service.audit) as transaction:
        return completion.take(transaction, request, name, by=by, around=AROUND) is not None


def state(service: Service, request: str) -> tuple[str, str | None, bool]:
    with service.database.read() as session:
        row = session.get_one(ForgetRequest, request)
        return row.status, row.detail_code, row.completed_at is not None


def told(service: Service, request: str) -> list[str]:
    with service.database.read() as session:
        return [one.name for one in events.following(session, 0, limit=100) if one.request_id == request]


def test_a_request_waits_for_its_mandatory_recipients_and_for_no_others(service: Service) -> None:
    register(service, "retriever", Recipient.MANDATORY)
    register(service, "features", Recipient.MANDATORY)
    register(service, "mail", Recipient.OPTIONAL)
    register(service, "crm", None)
    register(service, "unproved", Recipient.MANDATORY, active=False)
    request, _ = forget(service, "a")
    assert state(service, request) == ("deploying", "recipients_silent", False)
    with service.database.read() as session:
        found = [(one.name, one.mandatory) for one in targets.of_request(session, request)]
    assert found == [("features", True), ("mail", False), ("retriever", True)]
    assert acknowledge(service, request, "retriever")
    assert acknowledge(service, request, "retriever", by="again")
    assert state(service, request) == ("deploying", "recipients_silent", False)
    assert acknowledge(service, request, "features", by="officer")
    assert state(service, request) == ("completed", None, True)
    assert told(service, request) == [
        "forget.accepted", "suppression.active", "forget.started", "forget.recipient_notice", "forget.completed",
    ]  # fmt: skip
    with service.database.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)).all()
    acknowledged = [
        (one.actor, one.data["target"]) for one in entries if one.action == "forget.target_acknowledged"
    ]
    assert acknowledged == [("retriever", "retriever"), ("officer", "features")]
    completions = [one.data["requests"] for one in entries if one.action == "forget.completed"]
    assert completions == [[], [request]]
    # What comes later changes nothing.
    assert acknowledge(service, request, "mail")
    assert state(service, request) == ("completed", None, True)


def test_other_requests_and_runs_do_not_wait(service: Service) -> None:
    register(service, "retriever", Recipient.MANDATORY)
    first, _ = forget(service, "a")
    second, _ = forget(service, "b")
    assert acknowledge(service, second, "retriever")
    assert state(service, second)[0] == "completed"
    assert state(service, first)[0] == "deploying"


def test_an_acknowledgement_before_the_end_of_the_run_completes_nothing_early(service: Service) -> None:
    register(service, "retriever", Recipient.MANDATORY)
    request, claim = forget(service, "a", finish=False)
    assert told(service, request)[-1] == "forget.started"
    assert not acknowledge(service, request, "retriever")
    service.publish(claim, "1")
    with Transaction.begin(service.database, service.audit) as transaction:
        targets.notify(transaction, [request], now=NOON)
    assert acknowledge(service, request, "retriever")
    assert state(service, request) == ("deploying", None, False)
    # The notice is not repeated when the run erases, or erases again after a kill.
    service.finish(claim)
    assert state(service, request) == ("completed", None, True)
    assert told(service, request).count("forget.recipient_notice") == 1


def test_notices_go_to_recipients_whatever_else_they_want_and_to_nobody_else(service: Service) -> None:
    recipient = register(service, "retriever", Recipient.OPTIONAL)
    other = register(service, "crm", None)
    request, _ = forget(service, "a")
    assert state(service, request)[0] == "completed"
    with service.database.unit_of_work() as session:
        webhooks.plan(session, NOON)
    with service.database.read() as session:
        rows = session.scalars(select(WebhookDelivery).where(WebhookDelivery.sequence.is_not(None))).all()
        assert sorted((row.endpoint_id, row.name) for row in rows) == sorted(
            [
                (recipient, "forget.recipient_notice"),
                (recipient, "forget.completed"),
                (other, "forget.completed"),
            ]
        )


def test_whoever_turns_out_to_be_in_the_base_meanwhile_needs_a_person(service: Service) -> None:
    register(service, "retriever", Recipient.MANDATORY)
    request, _ = forget(service, "a")
    readers.record_base_readers(service.database, service.audit, "b" * 64, ["a" * 64], actor="tests")
    assert acknowledge(service, request, "retriever")
    assert state(service, request) == ("needs_attention", "known_to_base", False)


@pytest.mark.parametrize("name", ["nobody", "retriever"])
def test_whoever_was_not_told_cannot_acknowledge(service: Service, name: str) -> None:
    request, _ = forget(service, "a")
    register(service, "retriever", Recipient.MANDATORY)
    assert not acknowledge(service, request, name)
    assert not acknowledge(service, "fr_0", name)
