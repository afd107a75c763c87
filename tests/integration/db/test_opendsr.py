"""Endpoints that speak OpenDSR: no challenge, and only requests that have named them (R-42, R-43)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update

from app.audit.transaction import Transaction
from app.db.models import (
    AuditEntry,
    EndpointState,
    ForgetRequest,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookProtocol,
)
from app.forget_requests import decisions
from app.forget_requests.decisions import Decision
from app.opendsr import service as opendsr
from app.opendsr.states import Status
from app.webhooks import service as webhooks
from app.webhooks.service import Attempt
from tests.integration.db.conftest import NOON, Service

FIRST, SECOND = (f"a7551968-d5d6-44b2-9831-815ac901779{number}" for number in range(2))


def register(service: Service) -> WebhookEndpoint:
    with Transaction.begin(service.database, service.audit) as transaction:
        return webhooks.register(
            transaction,
            name="tool",
            url="https://privacy.example.com/callbacks",
            events=[],
            protocol=WebhookProtocol.OPENDSR,
            actor="tests",
            now=NOON,
        )


def send(service: Service, request_id: str, subject_request_id: str, *callbacks: str) -> None:
    with service.database.unit_of_work() as session:
        opendsr.remember(
            session,
            session.get_one(ForgetRequest, request_id),
            caller="tool",
            subject_request_id=subject_request_id,
            callbacks=callbacks,
            now=NOON,
        )


def cancel(service: Service, request_id: str) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        request = transaction.session.get_one(ForgetRequest, request_id)
        decisions.cancel(transaction, request, Decision("tool", NOON, "changed_mind"))


def claim(service: Service, now: datetime = NOON) -> list[Attempt]:
    with service.database.unit_of_work() as session:
        webhooks.plan(session, now)
        return webhooks.claim(session, now, limit=8, but=())


def test_an_endpoint_is_told_of_every_id_that_names_it_and_of_nothing_else(service: Service) -> None:
    endpoint = register(service)
    assert endpoint.state == EndpointState.ACTIVE
    named, other = service.accept("a").request.id, service.accept("b").request.id
    send(service, named, FIRST, endpoint.id)
    send(service, named, SECOND, "we_gone", endpoint.id)
    send(service, other, FIRST[:-1] + "9")
    [attempt] = claim(service)
    assert attempt.delivery.name == "forget.accepted"
    assert attempt.told is not None
    assert [(one.subject_request_id, one.status) for one in attempt.told] == [
        (FIRST, Status.PENDING),
        (SECOND, Status.PENDING),
    ]
    cancel(service, named)
    cancel(service, other)
    later = NOON + timedelta(days=1)
    told = [(one.delivery.name, one.told) for one in (*claim(service, later), *claim(service, later))]
    assert [name for name, _ in told] == ["forget.accepted", "forget.cancelled"]
    # What an attempt says is the state after its event, however late it is.
    assert [{one.status for one in said or ()} for _, said in told] == [{Status.PENDING}, {Status.CANCELLED}]
    with Transaction.begin(service.database, service.audit) as transaction:
        again = transaction.session.get_one(WebhookEndpoint, endpoint.id)
        sent = webhooks.replay(transaction, again, first=1, last=100, actor="tests", now=NOON)
    assert sent == 2


def test_a_disabled_endpoint_is_active_again_without_a_challenge(service: Service) -> None:
    endpoint = register(service)
    with service.database.unit_of_work() as session:
        session.execute(update(WebhookEndpoint).values(state=EndpointState.DISABLED, failing_since=NOON))
    with Transaction.begin(service.database, service.audit) as transaction:
        found = transaction.session.get_one(WebhookEndpoint, endpoint.id)
        webhooks.challenge_again(transaction, found, actor="tests", now=NOON)
    with service.database.read() as session:
        found = session.get_one(WebhookEndpoint, endpoint.id)
        assert (found.state, found.failing_since) == (EndpointState.ACTIVE, None)
        assert session.scalars(select(WebhookDelivery)).all() == []
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.sequence)).all()
    assert actions == ["webhook.registered", "webhook.activated", "webhook.challenged", "webhook.activated"]
